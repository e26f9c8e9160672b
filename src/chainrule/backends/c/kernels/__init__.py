"""Kernels that are more than a loop over elements: matrix products, rows, indices, randomness."""

from __future__ import annotations

#: Operations with a kernel of their own. What they read lies in order in memory.
SPECIAL = frozenset(
    {
        "matmul",
        "softmax", "log_softmax", "logsumexp", "cumsum", "argmax", "argsort", "searchsorted",
        "take", "scatter_add", "take_along_axis", "add_along_axis", "embedding_bag", "scatter_bag",
        "concatenate", "pad",
        "random_bits", "fold_in",
    }
)  # fmt: skip

#: Those that may write their result over an operand, with its position.
IN_PLACE = {"scatter_add": 0, "add_along_axis": 0}

#: Those that stop the program when an index is out of range.
MAY_STOP = frozenset(
    {"take", "scatter_add", "take_along_axis", "add_along_axis", "embedding_bag", "scatter_bag"}
)
