"""Generators of kernels: matrix products, convolutions, softmax, gathers, randomness."""
