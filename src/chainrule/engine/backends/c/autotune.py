"""Which tile of registers is the fastest on this machine, and where packing pays: by measurement.

The candidates are tiles that the registers can hold (`Target.tiles`), for typical products of each
kind, and for the products of the programs in the cache, with and without copies of A and B. Every
candidate gives the same bits (see `kernels.matmul`), so the choice is one of time alone. Other
work on the machine only ever adds time: what counts is the minimum of several short rounds, in
which the candidates take turns.
"""

from __future__ import annotations

import ctypes
import datetime
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from ....errors import ChainruleError
from ....utils.typing import Array
from . import autotune_cache, cache, toolchain
from .autotune_cache import TileChoice, TunedTiles
from .kernels.cpu import native_kind, native_target
from .kernels.gemm import GemmPlan, Pointers, Product, Target, emit, plan
from .lowering_cache import cached_products
from .prelude import prelude

#: What must be gained for another choice than the default.
_WORTH = 1.02
#: Rounds of each candidate, and how long one is at least, in seconds.
_ROUNDS, _ROUND_SECONDS = 12, 0.0015
#: A larger product takes too long to be measured, in multiplications.
_LARGEST = 1 << 31
#: Typical products, as (m, n, k): what stands for the kinds of products.
_TYPICAL = (
    (784, 128, 128), (1024, 512, 128), (512, 256, 256),
    (256, 128, 784), (1024, 128, 512), (128, 512, 1024),
)  # fmt: skip
_FORMS = ((False, False), (True, False), (False, True))


@dataclass(frozen=True)
class Rating:
    """How fast the candidates are for a product, or on average for the products of a kind.

    Attributes:
        name: of the product, or of the kind.
        rates: 10⁹ operations a second (two for each multiplication and addition), by candidate.
        default: what the rules of the generator choose.
    """

    name: str
    rates: dict[TileChoice, float]
    default: TileChoice

    @property
    def chosen(self) -> TileChoice:
        """The fastest; the default unless something is faster by more than noise."""
        best = max(self.rates, key=self.rates.__getitem__)
        clear = self.rates[best] > _WORTH * self.rates[self.default]
        return best if clear else self.default

    @property
    def gain(self) -> float:
        """How much faster the choice is than the default: 0.1 means a tenth more a second."""
        return self.rates[self.chosen] / self.rates[self.default] - 1


def tune(seconds: float = 30.0, on_rating: Callable[[Rating], None] | None = None) -> TunedTiles:
    """Measure products on this machine and remember the best choices in the cache.

    Programs that are built from now on use them; those that exist stay as they are. What there
    is no time for goes by the rules.

    Args:
        seconds: how long it may take.
        on_rating: is called with every result.

    Returns:
        What is remembered.

    Raises:
        CompilerError: there is no compiler.
        ChainruleError: the cache folder cannot be used.

    Example:
        >>> from chainrule.engine.backends.c.autotune import tune
        >>> remembered = tune(seconds=30)  # doctest: +SKIP
    """
    end = time.monotonic() + seconds
    toolchain.find()
    if cache.folder() != cache.wanted_folder():
        raise ChainruleError(
            "What is measured cannot be remembered: the cache folder cannot be used.",
            where=str(cache.wanted_folder()),
            hint="Set CHAINRULE_CACHE to a folder of your own.",
        )
    target = native_kind()
    found: dict[str, TileChoice] = {}
    longest, last = 0.0, time.monotonic()
    for rating in _ratings(target):
        found[rating.name] = rating.chosen
        if on_rating is not None:
            on_rating(rating)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        if last + longest > end:  # as long as one took the next may take
            break
    remembered = TunedTiles(datetime.date.today().isoformat(), found)
    try:
        autotune_cache.write(remembered)
    except OSError as error:
        raise ChainruleError(
            "What was measured cannot be remembered.",
            where=str(cache.folder()), found=error.strerror or str(error),
        ) from error  # fmt: skip
    native_target.cache_clear()
    return remembered


@dataclass(frozen=True)
class _Group:
    """Products that get one choice, which is kept under a name."""

    name: str
    products: tuple[Product, ...]
    candidates: tuple[TileChoice, ...]


def _groups(target: Target) -> Iterator[_Group]:
    """What to measure: the products of the programs in the cache, then the kinds of products."""
    kept = {replace(p, batch=1): p.batch * count for p, count in cached_products().items()}
    by_work = sorted(kept, key=lambda p: (-p.m * p.n * p.k * kept[p], p.name))
    for product in by_work:
        if (
            options := candidates(product, target)
        ) and product.m * product.n * product.k < _LARGEST:
            yield _Group(product.name, (product,), options)
    for dtype in ("float32", "float64"):
        kinds: dict[str, list[Product]] = {}
        for (ta, tb), sizes in ((form, sizes) for form in _FORMS for sizes in _TYPICAL):
            product = Product(*sizes, ta, tb, dtype=dtype)
            kinds.setdefault(product.kind, []).append(product)
        for kind, products in kinds.items():
            default = default_choice(products[0], target)
            tiles = [(default.rows, default.vectors), *target.tiles()]
            options = tuple(TileChoice(*tile) for tile in dict.fromkeys(tiles))
            yield _Group(kind, tuple(products), options)


def candidates(product: Product, target: Target) -> tuple[TileChoice, ...]:
    """The tiles that fit a product, with and without copies of A and B; the default is the first.

    Empty if there is nothing to choose: for vectors, and where a tile has more rows than C.
    """
    default = default_choice(product, target)
    if min(product.m, product.n, product.k) < 2 or default.rows > product.m:
        return ()
    lanes = max(target.vector // product.item, 1)
    tiles = [(default.rows, default.vectors), *target.tiles()]
    fitting = [t for t in tiles if t[0] <= product.m and t[1] <= -(-product.n // lanes)]
    packing = [(True, False)]
    if not product.transpose_b:  # otherwise vectors of B are in memory only in a copy
        packing.insert(0, (False, False))
    if product.transpose_a:  # otherwise A is read along its rows anyway
        packing.append((True, True))
    found = (TileChoice(*tile, b, a) for tile in fitting for b, a in packing)
    return tuple(dict.fromkeys((default, *found)))


def default_choice(product: Product, target: Target) -> TileChoice:
    """What the rules choose."""
    usual = plan(product, replace(target, choices={}))
    vectors = usual.columns // max(target.vector // product.item, 1)
    return TileChoice(usual.rows, vectors, usual.panels > 0, usual.pack_a > 0)


def planned(product: Product, choice: TileChoice, target: Target) -> GemmPlan:
    """The plan of a product with a choice, by the way that programs go."""
    return plan(product, replace(target, choices={product.name: choice}))


# ---- the measurement -----------------------------------------------------------------------------


def _ratings(target: Target) -> Iterator[Rating]:
    """All groups one after the other; the next one is built while one is measured."""
    with ThreadPoolExecutor(1) as builder:
        waiting: deque[tuple[_Group, Future[list[ctypes.CDLL]]]] = deque()
        for group in _groups(target):
            waiting.append((group, builder.submit(_libraries, group, target)))
            if len(waiting) > 1:
                ready, built = waiting.popleft()
                yield _rate(ready, built.result(), target)
        for ready, built in waiting:
            yield _rate(ready, built.result(), target)


def _libraries(group: _Group, target: Target) -> list[ctypes.CDLL]:
    """The candidates of every product of a group."""
    plans = [_plans(product, group.candidates, target) for product in group.products]
    sources = [source(p, own, target) for p, own in zip(group.products, plans, strict=True)]
    return list(map(toolchain.trial, sources))


def _plans(product: Product, options: Sequence[TileChoice], target: Target) -> list[GemmPlan]:
    """The plans of the candidates, each once."""
    return list(dict.fromkeys(planned(product, choice, target) for choice in options))


def _rate(group: _Group, libraries: Sequence[ctypes.CDLL], target: Target) -> Rating:
    """The mean rates of the candidates; geometric, so that every product counts alike.

    Whatever would be chosen is measured once more beside the default alone: of many candidates
    the one that seems the fastest is often the one that was disturbed least.
    """

    def measured(options: Sequence[TileChoice]) -> dict[TileChoice, float]:
        each = [
            _rates(product, options, library, _plans(product, group.candidates, target), target)
            for product, library in zip(group.products, libraries, strict=True)
        ]
        return {
            choice: math.exp(sum(math.log(found[choice]) for found in each) / len(each))
            for choice in options
        }

    rating = Rating(group.name, measured(group.candidates), group.candidates[0])
    sure = {rating.default}
    while (choice := rating.chosen) not in sure:
        sure.add(choice)
        for option, rate in measured((rating.default, choice)).items():
            rating.rates[option] = max(rating.rates[option], rate)
    return rating


def _rates(
    product: Product,
    options: Sequence[TileChoice],
    library: ctypes.CDLL,
    built: Sequence[GemmPlan],
    target: Target,
) -> dict[TileChoice, float]:
    """10⁹ operations a second of one thread, by candidate, of a library with the plans built."""
    plans = _plans(product, options, target)
    operands = _operands(product)
    calls = [_call(library, built.index(chosen), operands) for chosen in plans]
    best = [math.inf] * len(calls)
    first = [_seconds(call, 1) for call in calls]
    times = [max(math.ceil(_ROUND_SECONDS / max(each, 1e-9)), 1) for each in first]
    for _ in range(_ROUNDS):
        for number, call in enumerate(calls):
            best[number] = min(best[number], _seconds(call, times[number]) / times[number])
    operations = 2e-9 * product.m * product.n * product.k
    rates = {chosen: operations / each for chosen, each in zip(plans, best, strict=True)}
    return {choice: rates[planned(product, choice, target)] for choice in options}


def _seconds(call: Callable[[int], None], times: int) -> float:
    """What a call takes of this thread's time: when others have the processor is not counted."""
    begin = time.thread_time()
    call(times)
    return time.thread_time() - begin


def source(product: Product, plans: Sequence[GemmPlan], target: Target) -> str:
    """C functions f0, f1, … (a, b, c, times): the same product, according to one plan each."""
    t = product.c_type
    parameters = f"const {t} *restrict pa, const {t} *restrict pb, {t} *restrict pc"
    functions = []
    for number, chosen in enumerate(plans):
        name = f"product{number}"
        text = emit(product, Pointers("pa", "pb", "pc"), target, chosen)
        body = "\n".join("  " * depth + line for depth, line in text.body)
        functions += [
            *text.functions,
            f"static void {name}({parameters}, idx begin, idx end)\n{{\n{body}\n}}",
            f"void f{number}({parameters}, idx times)\n{{",
            f"  for (idx t = 0; t < times; t++) {name}(pa, pb, pc, 0, {text.units});\n}}",
        ]
        functions = [function.replace("@", name) for function in functions]
    code = "\n\n".join(functions)
    return f"{prelude(code)}\n{code}\n"


def _operands(product: Product) -> list[Array]:
    """A, B and C, each from the beginning of a cache line on, as in programs."""
    found = []
    for size in (product.m * product.k, product.k * product.n, product.m * product.n):
        room = np.full(size + 64, 0.5, product.dtype)
        skip = -room.ctypes.data % 64 // product.item
        found.append(room[skip : skip + size])
    return found


def _call(library: ctypes.CDLL, number: int, operands: Sequence[Array]) -> Callable[[int], None]:
    """A candidate, to be called so many times."""
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in operands]
    function = library[f"f{number}"]
    return lambda times: function(*pointers, ctypes.c_int64(times))
