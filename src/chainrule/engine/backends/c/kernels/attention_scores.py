"""Rows of an attention's scores as C: what is hidden, the largest, weights and their sum.

A row is worked on in vectors, sixteen numbers at a time, and its length is a multiple of that; so
the order of a sum is the same for any length of vectors.
"""

from __future__ import annotations

from .gemm_tiles import ELEMENTS

#: Numbers that a row is worked on in at a time.
STEP = 16


def row_functions(name: str, dtype: str, lanes: int) -> str:
    """``name_hide``, ``name_largest`` and ``name_weigh``.

    Args:
        name: with which their names begin.
        dtype: of the scores.
        lanes: elements of the longest vector.
    """
    kind, _, item = ELEMENTS[dtype]
    f = "f" if dtype == "float32" else ""
    lanes = min(max(lanes, 2), STEP)
    parts = range(STEP // lanes)
    loads = [f"*(const {name}_v *)(x + j + {lanes * part})" for part in parts]
    halves = _halves(name, lanes)

    def start(value: str) -> str:
        return f"{name}_v {', '.join(f't{part} = {value}' for part in parts)};"

    def each(text: str) -> str:
        return "\n    ".join(text.format(a=f"t{n}", b=load) for n, load in enumerate(loads))

    def together(text: str) -> str:
        return "\n  ".join(text.format(a=a, b=b) for a, b in halves)

    larger = f"{{a}} = {name}_larger({{a}}, {{b}});"
    return f"""
{_vectors(name, kind, item, lanes)}

static inline {kind} {name}_largest(const {kind} *restrict x, idx end)
{{
  {start(f"({name}_v){{0}} - INFINITY")}
  for (idx j = 0; j < end; j += {STEP}) {{
    {each(larger)}
  }}
  {together(larger)}
  return t0[0];
}}

/* x = exp(x factor - top), and their sum */
static inline {kind} {name}_weigh({kind} *restrict x, idx end, {kind} factor, {kind} top)
{{
  {start("{0}")}
  for (idx j = 0; j < end; j += {STEP}) {{
    for (int l = 0; l < {STEP}; l++) x[j + l] = cr_exp_weight{f}(CR_FMA{f}(x[j + l], factor, -top));
    {each("{a} += {b};")}
  }}
  {together("{a} += {b};")}
  return t0[0];
}}""".strip()


def _vectors(name: str, kind: str, item: int, lanes: int) -> str:
    """Vectors of scores, the larger of two, and what hides the end of a row."""
    number = f"int{8 * item}_t"
    numbers = ", ".join(map(str, range(lanes)))
    attributes = f"vector_size({lanes * item}), aligned({item}), may_alias"
    return f"""
typedef {kind} {name}_v __attribute__(({attributes}));
typedef {number} {name}_i __attribute__(({attributes}));

/* x[j] = other from limit on */
static inline void {name}_hide({kind} *restrict x, idx limit, idx end, {kind} other)
{{
  const {name}_i hidden = ({name}_i)(({name}_v){{0}} + other);
  for (idx j = limit / {lanes} * {lanes}; j < end; j += {lanes}) {{
    const {name}_i shown = ({name}_i){{{numbers}}} < ({name}_i){{0}} + ({number})(limit - j);
    *({name}_i *)(x + j) = (shown & *(const {name}_i *)(x + j)) | (~shown & hidden);
  }}
}}

static inline {name}_v {name}_larger({name}_v a, {name}_v b)
{{
  const {name}_i first = a > b;
  return ({name}_v)((first & ({name}_i)a) | (~first & ({name}_i)b));
}}""".strip()


def _halves(name: str, lanes: int) -> list[tuple[str, str]]:
    """What is put together with what, until the first number is that of all."""
    pairs = []
    count = STEP // lanes
    while count > 1:
        count //= 2
        pairs += [(f"t{part}", f"t{part + count}") for part in range(count)]
    for bit in reversed(range(lanes.bit_length() - 1)):
        swapped = ", ".join(str(lane ^ 1 << bit) for lane in range(lanes))
        pairs.append(("t0", f"CR_SHUFFLE(t0, t0, {name}_i, {swapped})"))
    return pairs
