"""Rows of an attention's scores as C: products with keys, what is hidden, weights and their sum.

A row is worked on in vectors, sixteen numbers at a time, and its length is a multiple of that; so
the order of a sum is the same for any length of vectors.
"""

from __future__ import annotations

from .gemm_tiles import ELEMENTS, fma, fused, pieces

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


# ---- a single query ------------------------------------------------------------------------------

#: Sums of values that are made side by side, and vectors of values whose sums are made at once.
_SUMS, _VECTORS = 4, 4
#: Bytes that come into a cache at once.
_LINE = 64


def single_functions(
    name: str, dtype: str, lanes: int, features: int, values: int, keys: int, halves: bool = False
) -> str:
    """``name_dots`` and ``name_mixed``: scores of one query, and the sum of values that it takes.

    Keys are read where they are: to copy them into panels takes longer than one product with them.
    Sums are made of `STEP` and of `_SUMS` others, whatever the length of vectors.

    Args:
        name: with which their names begin; ``row_functions`` come before.
        dtype: of the elements.
        lanes: elements of the longest vector, 2 at least.
        features: of a query, a multiple of `STEP`.
        values: features of a value.
        keys: from those of one sequence to those of the next, which are asked for ahead.
        halves: whether keys and values are bfloat16 numbers: 16 words hold those of 32 features,
            feature c beside feature c + 16.
    """
    kind, short, item = ELEMENTS[dtype]
    lanes = min(lanes, STEP)
    stored = "uint32_t" if halves else kind
    key_size, value_size = (features // 2, values // 2) if halves else (features, values)
    next_keys, next_values = (
        " ".join(f"__builtin_prefetch({at} + {line});" for line in range(0, size, _LINE // item))
        for at, size in (
            (f"k + (j + {keys}) * {key_size}", lanes * key_size),
            (f"v + (j + {keys}) * {value_size}", _SUMS * value_size),
        )
    )
    vector = f"cr_{short}x{lanes}"
    return f"""
{_dot_of_halves(name, features) if halves else _dot(name, kind, vector, lanes, features)}

/* x[j] = q k[j] for the keys before end */
static inline void {name}_dots(const {kind} *restrict q, const {stored} *restrict k,
    {kind} *restrict x, idx end)
{{
  idx j = 0;
  for (; j + {lanes} <= end; j += {lanes}) {{
    {next_keys}
    {_together(name, vector, lanes, key_size)}
    *({vector} *)(x + j) = a0;
  }}
  for (; j < end; j++) {{
    {vector} a = {name}_dot(q, k + j * {key_size});
    {_folded(name, lanes)}
    x[j] = a[0];
  }}
}}

/* y = factor (x[0] v[0] + x[1] v[1] + ...) for the keys before end */
static inline void {name}_mixed(const {kind} *restrict x, const {stored} *restrict v,
    {kind} *restrict y, idx end, {kind} factor)
{{
{_mixed(dtype, lanes, values, next_values, halves)}
}}""".strip()


def _dot(name: str, kind: str, vector: str, lanes: int, features: int) -> str:
    """The product of two rows, but for the sum of the lanes."""
    parts = STEP // lanes
    loads = [f"*(const {vector} *)({{}} + c + {lanes * part})" for part in range(parts)]
    sums = "\n    ".join(
        f"t{part} = {fma(vector)}({load.format('q')}, {load.format('k')}, t{part});"
        for part, load in enumerate(loads)
    )
    halves, count = [], parts
    while count > 1:
        count //= 2
        halves += [f"t{part} += t{part + count};" for part in range(count)]
    start = ", ".join(f"t{part} = {{0}}" for part in range(parts))
    return f"""
static inline {vector} {name}_dot(const {kind} *restrict q, const {kind} *restrict k)
{{
  {vector} {start};
  for (idx c = 0; c < {features}; c += {STEP}) {{
    {sums}
  }}
  {" ".join(halves)}
  return t0;
}}""".strip()


def _dot_of_halves(name: str, features: int) -> str:
    """The same with a row of bfloat16 numbers, in the same order."""
    low, high = (_half("k + c / 2", second) for second in (False, True))
    return f"""
static inline cr_f32x16 {name}_dot(const float *restrict q, const uint32_t *restrict k)
{{
  cr_f32x16 t0 = {{0}};
  for (idx c = 0; c < {features}; c += {2 * STEP}) {{
    t0 = {fma("cr_f32x16")}(*(const cr_f32x16 *)(q + c), {low}, t0);
    t0 = {fma("cr_f32x16")}(*(const cr_f32x16 *)(q + c + {STEP}), {high}, t0);
  }}
  return t0;
}}""".strip()


def _half(place: str, second: bool) -> str:
    """The first or second 16 of 32 bfloat16 numbers in 16 words, as a vector of floats."""
    words = f"*(const cr_pairs *)({place})"
    return f"(cr_f32x16)({words} {'& 0xFFFF0000u' if second else '<< 16'})"


def _together(name: str, vector: str, lanes: int, features: int) -> str:
    """The sums of as many vectors as they have lanes: the lanes of ``a0``."""
    lines = [f"{vector} a{n} = {name}_dot(q, k + (j + {n}) * {features});" for n in range(lanes)]
    size, left = lanes, lanes
    while left > 1:
        starts = [base + key for base in (0, lanes) for key in range(0, lanes, size)]
        low, high = (
            ", ".join(str(start + at) for start in starts for at in half)
            for half in (range(size // 2), range(size // 2, size))
        )
        for n in range(0, left, 2):
            both = f"a{n}, a{n + 1}, {name}_i"
            lines.append(f"a{n // 2} = CR_SHUFFLE({both}, {low}) + CR_SHUFFLE({both}, {high});")
        size, left = size // 2, left // 2
    return "\n    ".join(lines)


def _folded(name: str, lanes: int) -> str:
    """The sum of the lanes of ``a`` in its first, in the same order as `_together`."""
    lines = []
    size = lanes
    while size > 1:
        size //= 2
        swapped = ", ".join(str(lane ^ size) for lane in range(lanes))
        lines.append(f"a += CR_SHUFFLE(a, a, {name}_i, {swapped});")
    return "\n    ".join(lines)


def _mixed(dtype: str, lanes: int, values: int, ahead: str, halves: bool) -> str:
    kind, short, item = ELEMENTS[dtype]
    cut = [(first, kind if width == 1 else f"cr_{short}x{width}")
           for first, width in pieces(values, lanes, item)]  # fmt: skip

    def load(key: int, first: int, each: str) -> str:
        if halves:
            words = f"v + (j + {key}) * {values // 2} + {first // 32 * STEP}"
            return _half(words, bool(first % 32))
        return f"*(const {each} *)(v + (j + {key}) * {values} + {first})"

    lines = []
    for start in range(0, len(cut), _VECTORS):
        group = cut[start : start + _VECTORS]

        def added(key: int, to: int, group: list[tuple[int, str]] = group) -> list[str]:
            return [
                fused(f"c{first}_{to}", f"x[j + {key}]", load(key, first, each), each) + ";"
                for first, each in group
            ]

        lines += ["  {", "    idx j = 0;"]
        for first, each in group:
            zero = "0" if each == kind else "{0}"
            sums = ", ".join(f"c{first}_{n} = {zero}" for n in range(_SUMS))
            lines.append(f"    {each} {sums};")
        lines.append(f"    for (; j + {_SUMS} <= end; j += {_SUMS}) {{")
        lines += [f"      {ahead}"] if start == 0 else []
        lines += [f"      {line}" for key in range(_SUMS) for line in added(key, key)]
        lines += ["    }", "    for (; j < end; j++) {"]
        lines += [f"      {line}" for line in added(0, 0)]
        lines.append("    }")
        for first, each in group:
            a, b, c, d = (f"c{first}_{n}" for n in range(_SUMS))
            lines.append(f"    *({each} *)(y + {first}) = (({a} + {b}) + ({c} + {d})) * factor;")
        lines.append("  }")
    return "\n".join(lines)
