"""Operations that are not written as ONNX, and why."""

from __future__ import annotations

_BACKWARD = "it occurs in backward passes only, and ONNX has no operator for it"
_RANDOM = "an exported prediction has no random numbers"
_NO_OPERATOR = "ONNX has no such operator"
_FACTOR = "ONNX has no operators that factorise matrices"

#: By the name of the operation.
REFUSED = {
    "convolution_weights": _BACKWARD,
    "max_pool_scatter": _BACKWARD,
    "max_pool_gather": _BACKWARD,
    "attention_gradients": _BACKWARD,
    "scatter_bag": _BACKWARD,
    "random_bits": _RANDOM,
    "fold_in": _RANDOM,
    "erfinv": _NO_OPERATOR,
    "lgamma": _NO_OPERATOR,
    "polygamma": _NO_OPERATOR,
    "i0e": _NO_OPERATOR,
    "i1e": _NO_OPERATOR,
    "erfcx": _NO_OPERATOR,
    "ndtri": _NO_OPERATOR,
    "round_to_bfloat16": "ONNX rounds only into another type",
    "ctc": _NO_OPERATOR,
    "cofactors": _NO_OPERATOR,
    "matrix_exp": _NO_OPERATOR,
    "solve": _FACTOR,
    "solve_triangular": _FACTOR,
    "slogdet": _FACTOR,
    "cholesky": _FACTOR,
    "complement": _FACTOR,
    "lu": _FACTOR,
    "qr": _FACTOR,
    "eigh": _FACTOR,
    "svd": _FACTOR,
    "pinv": _FACTOR,
}
