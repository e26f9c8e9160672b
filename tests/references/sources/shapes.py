"""Functions that move, repeat, choose and order elements."""

import numpy as np
import torch
import torch.nn.functional as F

from .cases import Family, distinct, exactly, integers, real

ops = Family("ops")


def pick(x, axis, positions):
    """The elements at `positions` along one axis."""
    return torch.index_select(x, axis, torch.tensor(np.asarray(positions, dtype=np.int64)))


# Other views of the same elements.

for shape in ([3, 2], [-1], [2, -1, 1]):
    ops.add("reshape", lambda x, shape: torch.reshape(x, shape), real(2, 3), shape=shape)
ops.add(
    "reshape", lambda x, shape: torch.reshape(x, shape), real(1, 1), case="to no axis", shape=[]
)
ops.add("ravel", torch.ravel, real(2, 3))
for start in (0, 1):
    ops.add("flatten", lambda x, start: torch.flatten(x, start), real(2, 3, 2), start=start)
ops.add("transpose", lambda x, axes: torch.permute(x, axes), real(2, 3), axes=[1, 0])
for axes in ([2, 0, 1], [0, 2, 1], [0, 1, 2]):
    ops.add("transpose", lambda x, axes: torch.permute(x, axes), real(2, 3, 2), axes=axes)
ops.add(
    "swapaxes",
    lambda x, first, second: torch.swapaxes(x, first, second),
    real(2, 3, 2),
    first=0,
    second=-1,
)
ops.add(
    "moveaxis",
    lambda x, source, destination: torch.moveaxis(x, source, destination),
    real(2, 3, 2),
    source=0,
    destination=-1,
)
for axis in (0, -1, 1):
    ops.add("expand_dims", lambda x, axis: torch.unsqueeze(x, axis), real(2, 3), axis=axis)
ops.add("squeeze", lambda x, axis: torch.squeeze(x, axis), real(2, 1, 3), axis=1)
ops.add("squeeze", lambda x, axis: torch.squeeze(x), real(1, 2, 1), axis=None)
for given, shape in (((3,), [2, 3]), ((2, 1), [2, 3]), ((), [2, 2]), ((1, 3), [0, 3])):
    ops.add(
        "broadcast_to",
        lambda x, shape: torch.broadcast_to(x, shape),
        real(*given),
        case=f"{list(given)} to {shape}",
        shape=shape,
    )

# Joining and parting.

for axis in (0, 1, -1):
    first, second = ((2, 3), (1, 3)) if axis == 0 else ((2, 3), (2, 2))
    ops.add(
        "concatenate",
        lambda arrays, axis: torch.concatenate(arrays, axis),
        [real(*first), real(*second)],
        axis=axis,
    )
    ops.add(
        "stack", lambda arrays, axis: torch.stack(arrays, axis), [real(2, 3), real(2, 3)], axis=axis
    )
ops.add(
    "concatenate",
    lambda arrays, axis: torch.concatenate(arrays, axis),
    [real(2, 3), real(0, 3), real(1, 3)],
    case="one is empty",
    axis=0,
)
ops.add(
    "split",
    lambda x, sizes, axis: torch.tensor_split(x, sizes, axis),
    real(2, 4),
    case="into 2 parts",
    sizes=2,
    axis=1,
)
ops.add(
    "split",
    lambda x, sizes, axis: torch.split(x, sizes, axis),
    real(5, 2),
    case="into parts of these sizes",
    sizes=[1, 3, 1],
    axis=0,
)
ops.add("unstack", lambda x, axis: torch.unbind(x, axis), real(2, 3), axis=1)


def getitem(x, index):
    """x[index] with all that NumPy's index says, steps backwards included."""
    index = tuple(index) if isinstance(index, list) else index
    positions = np.arange(x.numel()).reshape(x.shape)[index]
    return torch.take(x, torch.tensor(positions.copy()))


whole = slice(None)
for case, index in (
    ("an integer", 1),
    ("from the end", [whole, -2]),
    ("inner block", [slice(1, 3), slice(0, 2)]),
    ("negative ends", [slice(-2, None), slice(0, -1)]),
    ("steps", [slice(0, 4, 2), slice(1, 5, 3)]),
    ("backwards", [slice(None, None, -1), slice(None, 0, -2)]),
    ("empty", [slice(2, 2), whole]),
    ("a new axis", [None, 1]),
    ("ellipsis", [..., 0]),
    ("integers, one twice", [np.array([2, 0, 2])]),
    ("pairs of integers", [np.array([3, 0, 3]), np.array([1, 4, 1])]),
    ("integers along the second axis", [slice(1, 3), np.array([4, 0])]),
    ("a mask", [np.array([True, False, True, False])]),
):
    ops.add("getitem", getitem, real(4, 5), case=case, index=index)


def pad(x, width, mode, value=0.0):
    if mode == "constant":
        return F.pad(x, [extent for pair in reversed(width) for extent in pair], value=value)
    for axis, pair in enumerate(width):
        x = pick(x, axis, np.pad(np.arange(x.shape[axis]), pair, mode=mode))
    return x


ops.add("pad", pad, real(2, 3), case="zeros", width=[[1, 0], [0, 2]], mode="constant")
ops.add(
    "pad",
    pad,
    real(2, 3),
    case="a number",
    width=[[0, 1], [1, 1]],
    mode="constant",
    value=-1.5,
)
for mode in ("reflect", "edge"):
    ops.add("pad", pad, real(2, 4), case=mode, width=[[1, 0], [2, 1]], mode=mode)

# Repeating and turning.

for axis in (0, 1, [0, 1]):
    ops.add(
        "flip",
        lambda x, axis: torch.flip(x, axis if isinstance(axis, list) else [axis]),
        real(2, 3),
        axis=axis,
    )
for shift, axis in ((1, 1), (-2, 0), (2, None)):
    ops.add(
        "roll",
        lambda x, shift, axis: torch.roll(x, shift, axis),
        real(3, 3),
        shift=shift,
        axis=axis,
    )
for repeats in ([2], [2, 1], [2, 1, 2]):
    ops.add("tile", lambda x, repeats: torch.tile(x, repeats), real(2, 2), repeats=repeats)
for times, axis in ((2, 0), (3, 1), (2, None)):
    ops.add(
        "repeat",
        lambda x, times, axis: torch.repeat_interleave(x, times, dim=axis),
        real(2, 2),
        times=times,
        axis=axis,
    )
for k in (1, 2, -1):
    ops.add("rot90", lambda x, k: torch.rot90(x, k), real(2, 3), k=k)

# Choosing by index, and its transpose: adding at an index.


def take(x, indices, axis):
    chosen = torch.index_select(x, axis, indices.ravel())
    axis %= x.ndim
    return chosen.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


indices = exactly([[2, 0], [2, 1]], "int64")
for axis in (0, 1, -1):
    ops.add("take", take, real(3, 3), indices, axis=axis)
ops.add("take", take, real(3, 2), exactly(1, "int64"), case="one index", axis=0)
ops.add(
    "take_along_axis",
    lambda x, indices, axis: torch.take_along_dim(x, indices, axis),
    real(3, 3),
    exactly([[0, 2], [1, 1], [2, 0]], "int64"),
    axis=1,
)
ops.add(
    "take_along_axis",
    lambda x, indices, axis: torch.take_along_dim(x, indices, axis),
    real(3, 2),
    exactly([[2, 0]], "int64"),
    axis=0,
)
ops.add(
    "add_along_axis",
    lambda x, indices, updates, axis: torch.scatter_add(x, axis, indices, updates),
    real(3, 3),
    exactly([[0, 2], [1, 1], [2, 0]], "int64"),
    real(3, 2),
    case="axis=1: x[i, indices[i, j]] += updates[i, j], an index twice",
    axis=1,
)
ops.add(
    "add_along_axis",
    lambda x, indices, updates, axis: torch.scatter_add(x, axis, indices, updates),
    real(3, 2),
    exactly([[2, 0], [2, 1]], "int64"),
    real(2, 2),
    case="axis=0: x[indices[i, j], j] += updates[i, j]",
    axis=0,
)
for axis, shape in ((0, (4, 2)), (1, (3, 4))):
    ops.add(
        "scatter_add",
        lambda x, indices, updates, axis: torch.index_add(x, axis, indices, updates),
        real(3, 2) if axis == 0 else real(3, 3),
        exactly([2, 0, 2, 1], "int64"),
        real(*shape),
        case=f"axis={axis}: whole rows, an index twice",
        axis=axis,
    )
ops.add(
    "one_hot",
    lambda indices, classes: F.one_hot(indices, classes),
    integers(0, 4, 2, 3),
    classes=4,
)

# Ordering.

for axis in (0, -1):
    for descending in (False, True):
        attrs = {"axis": axis, "descending": descending}
        ops.add(
            "sort",
            lambda x, axis, descending: torch.sort(x, dim=axis, descending=descending).values,
            distinct(3, 4),
            **attrs,
        )
        ops.add(
            "argsort",
            lambda x, axis, descending: torch.argsort(x, dim=axis, descending=descending),
            distinct(3, 4),
            **attrs,
        )
for k, axis in ((2, -1), (1, 0)):
    ops.add(
        "top_k", lambda x, k, axis: list(torch.topk(x, k, dim=axis)), distinct(3, 4), k=k, axis=axis
    )
ops.add(
    "searchsorted",
    torch.searchsorted,
    exactly([0.0, 1.0, 2.5, 4.0]),
    exactly([-1.0, 0.5, 2.5, 9.0]),
    case="left",
)
ops.add(
    "bincount",
    lambda x, length: torch.bincount(x, minlength=length),
    exactly([0, 2, 2, 5], "int64"),
    length=7,
)
