"""Products of vectors and matrices."""

import torch

from .cases import Family, real

ops = Family("ops")

for case, first, second in (
    ("2-D", (2, 3), (3, 4)),
    ("batched", (2, 2, 3), (2, 3, 2)),
    ("batches broadcast", (2, 1, 2, 3), (3, 3, 2)),
    ("one matrix for a batch", (2, 2, 3), (3, 2)),
    ("vector, vector", (3,), (3,)),
    ("matrix, vector", (2, 3), (3,)),
    ("vector, matrix", (3,), (3, 2)),
    ("vector, batch", (3,), (2, 3, 2)),
    ("batch, vector", (2, 2, 3), (3,)),
    ("sizes of 1", (1, 1), (1, 1)),
    ("empty sum", (2, 0), (0, 3)),
):
    ops.add("matmul", torch.matmul, real(*first), real(*second), case=case)

ops.add("dot", torch.dot, real(4), real(4), case="vectors")
ops.add("dot", torch.matmul, real(2, 3), real(3, 2), case="matrices")
ops.add("vdot", torch.vdot, real(4), real(4))
ops.add("inner", torch.inner, real(2, 3), real(2, 3))
ops.add("outer", torch.outer, real(3), real(2))
ops.add("kron", torch.kron, real(2, 2), real(1, 3))
ops.add(
    "cross", lambda a, b, axis: torch.linalg.cross(a, b, dim=axis), real(2, 3), real(2, 3), axis=-1
)
for axes in (1, 2, [[0], [1]]):
    second = (3, 2) if axes == 1 else (2, 3) if axes == 2 else (4, 2)
    ops.add(
        "tensordot",
        lambda a, b, axes: torch.tensordot(a, b, dims=axes),
        real(2, 3),
        real(*second),
        axes=axes,
    )
ops.add(
    "multi_dot", lambda arrays: torch.linalg.multi_dot(arrays), [real(2, 3), real(3, 2), real(2, 4)]
)

for subscripts, *shapes in (
    ("ij,jk->ik", (2, 3), (3, 2)),
    ("ij,kj->ik", (2, 3), (4, 3)),
    ("ji,jk->ik", (3, 2), (3, 2)),
    ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    ("ij->ji", (2, 3)),
    ("ij->j", (2, 3)),
    ("ij->", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii->", (3, 3)),
    ("i,j->ij", (3,), (2,)),
    ("ij,ij->", (2, 3), (2, 3)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("i,ij,j->", (2,), (2, 3), (3,)),
    ("bi,oij,bj->bo", (2, 2), (3, 2, 2), (2, 2)),
    ("bhqd,bhkd->bhqk", (1, 2, 2, 3), (1, 2, 2, 3)),
    ("...ij,jk->...ik", (2, 2, 3), (3, 2)),
):
    ops.add(
        "einsum", torch.einsum, subscripts, *(real(*shape) for shape in shapes), case=subscripts
    )

for k in (0, 1, -1):
    ops.add("tril", lambda x, diagonal: torch.tril(x, diagonal), real(3, 3), diagonal=k)
    ops.add("triu", lambda x, diagonal: torch.triu(x, diagonal), real(2, 3), diagonal=k)
    ops.add("diagonal", lambda x, offset: torch.diagonal(x, offset), real(3, 4), offset=k)
    ops.add("diag", lambda x, k: torch.diag(x, k), real(3), k=k)
ops.add("trace", torch.trace, real(3, 3))
ops.add(
    "tril", lambda x, diagonal: torch.tril(x, diagonal), real(2, 2, 3), case="batched", diagonal=0
)
