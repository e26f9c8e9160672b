"""The scoreboard: ``python -m benchmarks.doctor.board``.

Sane trainings are drawn by a seed; each is run several times as it is and with faults. Seeds are
split once: thresholds were chosen on the development half, the figures are those of the frozen one.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.doctor import examine

from .baselines import BASELINES
from .cases import FROZEN, Case, Result, healthy, run, variant
from .faults import MUST_HURT, OPERATORS, inject, together

#: Sane networks in a half; sane, faulty and twofold faulty trainings of each.
BASES, SANE, FAULTY, TWO = 84, 6, 4, 1
#: A fault that must hurt makes the result worse by so much skill, or is drawn again.
HURTS = 0.1
FIRST_SEED = {"development": 0, "frozen": FROZEN}
#: The trainings of a network by what they are: a number, a cause, or a pair's number.
Kept = dict[tuple[str, Any], Result | None]


def kept_results(half: str, bases: int, cache: Path) -> list[Result]:
    """The trainings of a half that the cache has."""
    paths = [cache / f"{half}-{number}.pickle" for number in range(bases)]
    found = [pickle.loads(path.read_bytes()) for path in paths if path.exists()]
    return [made for kept in found for made in kept.values() if made is not None]


def generate(half: str, bases: int, cache: Path, sane: int, faults: int, two: int) -> list[Result]:
    """Run the trainings of a half, those that the cache has not; it goes on where it was ended."""
    cache.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    causes = itertools.cycle(sorted(OPERATORS))
    for number in range(bases):
        path = cache / f"{half}-{number}.pickle"
        wanted: list[tuple[str, Any]] = [("sane", n) for n in range(sane)]
        wanted += [("fault", next(causes)) for _ in range(faults)]
        wanted += [("two", n) for n in range(two)]
        kept: Kept = pickle.loads(path.read_bytes()) if path.exists() else {}
        if any(key not in kept for key in wanted):
            of_base(FIRST_SEED[half] + number, wanted, kept)
            new = path.with_suffix(".new")
            new.write_bytes(pickle.dumps(kept))
            new.replace(path)
            print(f"{half} {number + 1}/{bases}", end="\r", file=sys.stderr, flush=True)
        results += [made for key in wanted if (made := kept[key]) is not None]
    return results


def of_base(seed: int, wanted: Sequence[tuple[str, Any]], kept: Kept) -> None:
    """Add the trainings of one sane network that are wanted and not kept yet."""
    base = healthy(seed)
    for kind, which in wanted:
        if (kind, which) in kept:
            continue
        if kind == "sane":
            made: Result | None = run(variant(base, which) if which else base)
        elif kind == "fault":
            made = faulty(seed, which)
        else:
            made = pair(seed, which)
        kept[kind, which] = made
        if kind == "sane" and which == 0 and made is not None:
            _SANE[base.seed] = made.skill


def pair(seed: int, number: int) -> Result:
    """A training of this network with two faults that are drawn."""
    rng = np.random.default_rng([seed, 5, number])
    while True:
        first, second = (str(c) for c in rng.choice(sorted(OPERATORS), 2))
        if together(first, second):
            made = two_faults(healthy(seed), (first, second), rng)
            if made is not None:
                return made


def faulty(seed: int, cause: str) -> Result | None:
    """A training with this fault, on some network where it applies and does harm."""
    network = 0
    for attempt in range(8):
        rng = np.random.default_rng([seed, 3, attempt])
        # Where it does not apply, another network; where it does no harm, it is drawn again.
        case = healthy(seed + network)
        made = inject(case, cause, rng)
        if made is None:
            network += 1
            continue
        result = run(made)
        if cause not in MUST_HURT or hurts(case, result):
            return result
    return None


_SANE: dict[int, float] = {}


def hurts(case: Case, result: Result) -> bool:
    """Whether a faulty training is clearly worse than its sane twin."""
    if case.seed not in _SANE:
        _SANE[case.seed] = run(case).skill
    return _SANE[case.seed] - result.skill > HURTS


def two_faults(base: Case, causes: Sequence[str], rng: Any) -> Result | None:
    """A training with two faults, each of which applies."""
    case: Case | None = base
    for cause in causes:
        case = inject(case, cause, rng) if case is not None else None
    return None if case is None else run(case)


# ---- figures -------------------------------------------------------------------------------------


Judge = Callable[[Result], list[str]]


def doctor(result: Result) -> list[str]:
    """The causes that the doctor names, the first one first."""
    return [finding.cause for finding in examine(result.evidence)]


def figures(results: Sequence[Result], judge: Judge) -> dict[str, float]:
    """Detection, first cause, first three, false alarms; of two faults recall and precision."""
    sane = [judge(r) for r in results if not r.faults]
    one = [(r.faults[0], judge(r)) for r in results if len(r.faults) == 1]
    two = [(set(r.faults), judge(r)) for r in results if len(r.faults) == 2
           and together(*r.faults)]  # fmt: skip
    hits = sum(len(true & set(named[:3])) for true, named in two)
    return {
        "faulty": len(one),
        "healthy": len(sane),
        "detected": float(np.mean([bool(named) for _, named in one])),
        "first": float(np.mean([named[:1] == [true] for true, named in one])),
        "first three": float(np.mean([true in named[:3] for true, named in one])),
        "false alarms": float(np.mean([bool(named) for named in sane])),
        "two: runs": len(two),
        "two: recall": hits / max(2 * len(two), 1),
        "two: precision": hits / max(sum(min(len(n), 3) for _, n in two), 1),
    }


def confusion(results: Sequence[Result], judge: Judge) -> dict[str, Counter[str]]:
    """For each cause that was put in, how often each was named first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        if len(result.faults) < 2:
            true = result.faults[0] if result.faults else "healthy"
            found[true][(judge(result) or ["-"])[0]] += 1
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """The figures of all judges, in Markdown."""
    names = list(next(iter(found.values())))[2:]
    sizes = next(iter(found.values()))
    head = f"{sizes['faulty']:.0f} faulty, {sizes['healthy']:.0f} healthy trainings\n\n"
    lines = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for judge, figure in found.items():
        cells = [f"{figure[n]:.0f}" if n == "two: runs" else f"{figure[n]:.3f}" for n in names]
        lines.append(f"| {judge} | {' | '.join(cells)} |")
    return head + "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of a half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=sorted(FIRST_SEED), default="frozen")
    parser.add_argument("--bases", type=int, default=BASES)
    parser.add_argument("--cache", type=Path, default=Path(".bench/doctor"))
    parser.add_argument("--sane", type=int, default=SANE, help="sane trainings of a network")
    parser.add_argument("--faults", type=int, default=FAULTY, help="faulty ones")
    parser.add_argument("--two", type=int, default=TWO, help="ones with two faults")
    parser.add_argument("--kept", action="store_true", help="of trainings that there are only")
    parser.add_argument("--confusion", action="store_true")
    parser.add_argument("--wrong", action="store_true", help="list what was told wrongly")
    given = parser.parse_args(arguments)
    begun = time.perf_counter()
    if given.kept:
        results = kept_results(given.half, given.bases, given.cache)
    else:
        sizes = given.sane, given.faults, given.two
        results = generate(given.half, given.bases, given.cache, *sizes)
    print(f"{len(results)} trainings, {time.perf_counter() - begun:.0f} s")
    judges: dict[str, Judge] = {"chainrule": doctor, **BASELINES}
    print(table({name: figures(results, judge) for name, judge in judges.items()}))
    if given.confusion:
        for true, counts in sorted(confusion(results, doctor).items()):
            print(f"{true:28}", ", ".join(f"{n} {c}" for n, c in counts.most_common(6)))
    if given.wrong:
        for one in results:
            named = doctor(one)
            missed = len(one.faults) == 1 and one.faults[0] not in named[:1]
            if missed or (not one.faults and named):
                print(one.faults or "healthy", "->", named[:4], f"{one.skill:.2f}", one.about)


if __name__ == "__main__":
    main()
