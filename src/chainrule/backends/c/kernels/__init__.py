"""Kernels that are more than a loop over elements: matrix products, rows, indices, randomness."""
