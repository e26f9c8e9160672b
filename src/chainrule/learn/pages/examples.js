/* Points of the plane with a class or a number, made from a seed. */
const Examples = (() => {
  const PRESETS = {
    xor: (random) => {
      const [a, b] = [2 * random() - 1, 2 * random() - 1];
      return [a, b, a * b < 0 ? 1 : 0];
    },
    circles: (random, i) => {
      const far = i % 2,
        angle = 2 * Math.PI * random(),
        r = (far ? 0.75 : 0.3) + 0.08 * Training.normal(random);
      return [r * Math.cos(angle), r * Math.sin(angle), far];
    },
    spiral: (random, i) => {
      const arm = i % 2,
        t = random(),
        angle = 1.75 * t * 2 * Math.PI + arm * Math.PI;
      return [
        t * Math.sin(angle) * 0.95 + 0.02 * Training.normal(random),
        t * Math.cos(angle) * 0.95 + 0.02 * Training.normal(random),
        arm,
      ];
    },
    blobs: (random, i) => {
      const side = i % 2,
        at = side ? 0.45 : -0.45;
      return [at + 0.22 * Training.normal(random), at + 0.22 * Training.normal(random), side];
    },
    function: (random) => {
      const [a, b] = [2 * random() - 1, 2 * random() - 1];
      return [a, b, Math.sin(3 * a) * Math.cos(2 * b)];
    },
    empty: () => null,
  };

  /** count points of a preset: [x1, x2, target]. */
  function points(preset, seed, count) {
    const random = Training.chance(seed * 31 + 7);
    return Array.from({ length: count }, (_, i) => PRESETS[preset](random, i)).filter(Boolean);
  }

  return { PRESETS, points };
})();
