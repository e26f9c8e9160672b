"use strict";
/* Functions of single numbers that JavaScript lacks, for the expressions in the records of the
   operations. */
const Special = (() => {
  function erf(x) {
    if (Math.abs(x) > 2) return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
    let term = x,
      sum = x; // Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!: all terms of one sign
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }

  function erfc(x) {
    if (Number.isNaN(x)) return NaN;
    if (x < 2) return x < -2 ? 2 - erfc(-x) : 1 - erf(x);
    let fraction = 0; // the continued fraction x + (1/2)/(x + 1/(x + (3/2)/(x + …)))
    for (let n = 120; n > 0; n--) fraction = n / 2 / (x + fraction);
    return x === Infinity ? 0 : Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
  }

  /** Winitzki's approximation, then Halley's steps, as in Python. */
  function erfinv(y) {
    if (!(Math.abs(y) < 1)) return Math.abs(y) > 1 ? NaN : y * Infinity;
    const size = Math.abs(y),
      log = Math.log1p(-y) + Math.log1p(y),
      a = 0.147;
    const t = 2 / (Math.PI * a) + log / 2;
    let x = Math.sqrt(Math.max(Math.sqrt(t * t - log / a) - t, 0));
    for (let n = 0; n < 3; n++) {
      const error = size > 0.5 ? 1 - size - erfc(x) : erf(x) - size;
      const step = ((error * Math.sqrt(Math.PI)) / 2) * Math.exp(x * x);
      x -= step / (1 + x * step);
    }
    return y < 0 ? -x : x;
  }

  const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798];

  /** ln |Γ|: the recurrence up to large x, then Stirling's series; reflected below 0. */
  function lgamma(x) {
    if (x <= 0)
      return x === Math.floor(x)
        ? Infinity
        : Math.log(Math.PI / Math.abs(Math.sin(Math.PI * (x - 2 * Math.round(x / 2))))) - lgamma(1 - x);
    let factor = 1;
    for (; x < 15; x++) factor *= x;
    let series = (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2;
    BERNOULLI.forEach((b, i) => {
      series += b / ((2 * i + 2) * (2 * i + 1) * x ** (2 * i + 1));
    });
    return x === Infinity ? Infinity : series - Math.log(factor);
  }

  const factorial = (n) => (n > 1 ? n * factorial(n - 1) : 1);

  /** The derivative of this order of digamma: recurrence, then the asymptotic series. */
  function polygamma(x, order) {
    if (x < 0) {
      const turn = x - Math.round(x),
        c = 1 / Math.tan(Math.PI * turn);
      if (turn === 0) return order % 2 ? Infinity : NaN;
      let p = [0, 1]; // the derivative of cot as a polynomial in c = cot
      for (let n = 0; n < order; n++) {
        const slope = [...p.map((a, k) => k * a).slice(1), 0, 0];
        p = slope.map((a, k) => -a - (k > 1 ? slope[k - 2] : 0));
      }
      const reflected = Math.PI ** (order + 1) * p.reduceRight((sum, a) => sum * c + a, 0);
      return (-1) ** order * polygamma(1 - x, order) - reflected;
    }
    const sign = (-1) ** (order + 1);
    let sum = 0;
    for (; x < 15 + order; x++) sum += (sign * factorial(order)) / x ** (order + 1);
    let tail = order ? factorial(order - 1) / x ** order : -Math.log(x);
    tail += factorial(order) / (2 * x ** (order + 1));
    BERNOULLI.forEach((b, i) => {
      const k = 2 * i + 2;
      tail += (b * factorial(k + order - 1)) / factorial(k) / x ** (k + order);
    });
    return sum + sign * tail;
  }

  /** exp(-|x|) I_n(x) of order 0 or 1: the power series, then the asymptotic one. */
  function besselScaled(x, order) {
    const size = Math.abs(x);
    let sum;
    if (size < 25) {
      let term = (order ? size / 2 : 1) * Math.exp(-size);
      sum = term;
      for (let k = 1; k < 70; k++) {
        term *= (size / 2) ** 2 / (k * (k + order));
        sum += term;
      }
    } else {
      let part = 1;
      sum = 1;
      for (let k = 1; k <= 25; k++) {
        part *= ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * size);
        sum += part;
      }
      sum /= Math.sqrt(2 * Math.PI * size);
    }
    return order && x < 0 ? -sum : sum;
  }

  /** exp(x²) erfc(x): the product up to 3, from there on the continued fraction. */
  function erfcx(x) {
    if (!(x >= 3)) return Math.exp(x * x) * erfc(x);
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / 2 / (x + fraction);
    return 1 / (x + fraction) / Math.sqrt(Math.PI);
  }

  /** The quantile of the normal distribution: an approximation, then Halley's steps. */
  function ndtri(p) {
    if (!(p > 0 && p < 1)) return p === 0 ? -Infinity : p === 1 ? Infinity : NaN;
    const half = Math.min(p, 1 - p),
      t = Math.sqrt(-2 * Math.log(half));
    let x =
      t -
      (2.515517 + t * (0.802853 + t * 0.010328)) /
        (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (let n = 0; n < 3; n++) {
      const error =
        erfcx(x * Math.SQRT1_2) * Math.sqrt(Math.PI / 2) -
        half * Math.sqrt(2 * Math.PI) * Math.exp((x * x) / 2);
      x += error / (1 - (x * error) / 2);
    }
    return p < 0.5 ? -x : x;
  }

  function roundToEven(x) {
    const below = Math.floor(x),
      rest = x - below;
    if (rest !== 0.5) return Math.round(x);
    return below % 2 === 0 ? below : below + 1;
  }

  function roundToBfloat16(x) {
    // 8 significant bits: the unit of the last one follows from the exponent.
    if (x === 0 || !Number.isFinite(x)) return x;
    const unit = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 7);
    return roundToEven(x / unit) * unit;
  }

  function sigmoid(x) {
    const e = Math.exp(-Math.abs(x)); // at most 1: never overflows
    return (x >= 0 ? 1 : e) / (1 + e);
  }

  function remainder(a, b) {
    const rest = a % b;
    return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
  }

  function floorDivide(a, b) {
    if (b === 0) return a / b;
    const quotient = (a - remainder(a, b)) / b,
      low = Math.floor(quotient);
    return quotient - low > 0.5 ? low + 1 : low;
  }

  function logaddexp(a, b) {
    if (a === b) return a + Math.LN2;
    const top = Math.max(a, b);
    return top + Math.log1p(Math.exp(-Math.abs(a - b)));
  }

  return {
    erf,
    erfc,
    erfinv,
    lgamma,
    polygamma,
    besselScaled,
    erfcx,
    ndtri,
    roundToEven,
    roundToBfloat16,
    sigmoid,
    remainder,
    floorDivide,
    logaddexp,
  };
})();
