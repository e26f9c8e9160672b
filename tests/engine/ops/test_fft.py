"""Fourier transforms against NumPy's, of lengths that take every way through the algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.engine.ops.fft import _smooth

#: One product; two and three steps; a prime by one product; by a chirp; both in one length.
LENGTHS = (1, 2, 7, 64, 66, 96, 4096, 113, 131, 262, 2 * 67 * 3)


def complexes(*shape: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def to_pairs(z: Any) -> Any:
    return np.stack([z.real, z.imag], -1)


def from_pairs(z: Any) -> Any:
    z = np.asarray(z)
    return z[..., 0] + 1j * z[..., 1]


def close(found: Any, expected: Any) -> None:
    scale = np.abs(expected).max(initial=1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * scale)


@pytest.mark.parametrize("n", LENGTHS)
def test_every_length_is_numpys(n: int) -> None:
    z, x = complexes(2, n), np.random.default_rng(1).normal(size=(2, n))
    close(from_pairs(cr.fft.fft(to_pairs(z))), np.fft.fft(z))
    close(from_pairs(cr.fft.ifft(to_pairs(z))), np.fft.ifft(z))
    close(from_pairs(cr.fft.rfft(x)), np.fft.rfft(x))
    half = np.fft.rfft(x)
    close(cr.fft.irfft(to_pairs(half), n), np.fft.irfft(half, n))
    close(cr.fft.hfft(to_pairs(half), n), np.fft.hfft(half, n))
    close(from_pairs(cr.fft.ihfft(x)), np.fft.ihfft(x))


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 90), m=st.one_of(st.none(), st.integers(1, 90)), axis=st.sampled_from([0, -1]),
    norm=st.sampled_from([None, "backward", "ortho", "forward"]),
)  # fmt: skip
def test_options_are_numpys(n: int, m: int | None, axis: int, norm: Any) -> None:
    z = complexes(n, n, seed=n)[:, :2] if axis == 0 else complexes(2, n, seed=n)
    for name in ("fft", "ifft"):
        expected = getattr(np.fft, name)(z, m, axis, norm)
        close(from_pairs(getattr(cr.fft, name)(to_pairs(z), m, axis, norm)), expected)
    close(from_pairs(cr.fft.rfft(z.real, m, axis, norm)), np.fft.rfft(z.real, m, axis, norm))
    if m is not None or n > 1:
        close(cr.fft.irfft(to_pairs(z), m, axis, norm), np.fft.irfft(z, m, axis, norm))


@pytest.mark.parametrize("backend", [None, "numpy", "c"])
def test_several_axes_are_numpys(backend: str | None) -> None:
    z = complexes(3, 4, 6)

    def everything(z: Any, x: Any) -> Any:
        return (
            *(cr.fft.fftn(z), cr.fft.ifftn(z, (5, 2), (0, 2)), cr.fft.fft2(z), cr.fft.ifft2(z)),
            *(cr.fft.rfftn(x), cr.fft.rfftn(x, (5, 3), norm="ortho"), cr.fft.rfft2(x)),
            *(cr.fft.irfftn(z), cr.fft.irfftn(z, (5, 7)), cr.fft.irfft2(z, norm="forward")),
        )

    run = everything if backend is None else cr.compile(everything, backend=backend)
    found = [np.asarray(y) for y in run(cr.tensor(to_pairs(z)), cr.tensor(z.real))]
    for y, expected in zip(found[:4], (np.fft.fftn(z), np.fft.ifftn(z, (5, 2), (0, 2)),
                                       np.fft.fft2(z), np.fft.ifft2(z)), strict=True):  # fmt: skip
        close(from_pairs(y), expected)
    x = z.real
    for y, expected in zip(found[4:7], (np.fft.rfftn(x), np.fft.rfftn(x, (5, 3), (1, 2), "ortho"),
                                        np.fft.rfft2(x)), strict=True):  # fmt: skip
        close(from_pairs(y), expected)
    for y, expected in zip(found[7:], (np.fft.irfftn(z), np.fft.irfftn(z, (5, 7), (1, 2)),
                                       np.fft.irfft2(z, norm="forward")), strict=True):  # fmt: skip
        close(y, expected)


def test_single_precision() -> None:
    for n in (96, 131, 4096):
        x = np.random.default_rng(n).normal(size=n).astype(np.float32)
        found, expected = from_pairs(cr.fft.rfft(x)), np.fft.rfft(x.astype(np.float64))
        assert np.asarray(cr.fft.rfft(x)).dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("n", [6, 70, 131])
def test_derivatives_are_adjoints(n: int) -> None:
    """<u, F z> has the gradient Fᴴu: NumPy's inverse transform, without its factor."""
    z, u = complexes(n), complexes(n, seed=5)
    gradient = cr.grad(lambda z: (cr.fft.fft(z) * to_pairs(u)).sum())(cr.tensor(to_pairs(z)))
    close(from_pairs(gradient), n * np.fft.ifft(u))
    assert cr.check_grad(lambda x: cr.fft.rfft(x)[..., 0] ** 2, z.real, order=1) < 1e-5


def test_order_and_frequencies() -> None:
    for n in (1, 4, 5):
        x = np.arange(3.0 * n).reshape(3, n)
        close(cr.fft.fftshift(x), np.fft.fftshift(x))
        close(cr.fft.ifftshift(x, 1), np.fft.ifftshift(x, 1))
        close(cr.fft.fftfreq(n, 0.1, "float64"), np.fft.fftfreq(n, 0.1))
        close(cr.fft.rfftfreq(n, 0.1, "float64"), np.fft.rfftfreq(n, 0.1))


def test_pairs() -> None:
    a, b = complexes(5), complexes(5, seed=1)
    close(from_pairs(cr.fft.multiply(to_pairs(a), to_pairs(b))), a * b)
    close(from_pairs(cr.fft.conjugate(to_pairs(a))), a.conj())
    close(cr.fft.absolute(to_pairs(a)), np.abs(a))
    close(cr.fft.angle(to_pairs(a)), np.angle(a))
    close(from_pairs(cr.fft.pairs(a.real, a.imag)), a)
    assert cr.fft.pairs([1, 2]).tolist() == [[1.0, 0.0], [2.0, 0.0]]


def test_a_convolution_is_a_product() -> None:
    x, w = np.random.default_rng(0).normal(size=(2, 20))
    long = np.concatenate([w[:5], np.zeros(15)])
    product = cr.fft.multiply(cr.fft.rfft(x), cr.fft.rfft(long))
    circular = [sum(w[j] * x[(i - j) % 20] for j in range(5)) for i in range(20)]
    close(cr.fft.irfft(product, 20), np.array(circular))


@pytest.mark.parametrize("options", [{}, {"center": False}, {"normalized": True},
                                     {"win_length": 12, "pad_mode": "constant"}])  # fmt: skip
def test_short_time_transforms(options: dict[str, Any]) -> None:
    n_fft, hop, x = 16, 4, np.random.default_rng(2).normal(size=(2, 101))
    length = options.get("win_length", n_fft)
    window = np.hanning(length + 1)[:-1] + 0.01
    found = from_pairs(cr.fft.stft(x, n_fft, hop, window=window, **options))
    whole = np.pad(window, (n_fft - length) // 2)
    if options.get("center", True):
        x_wide = np.pad(x, ((0, 0), (8, 8)), mode=options.get("pad_mode", "reflect"))
    else:
        x_wide = x
    starts = range(0, x_wide.shape[1] - n_fft + 1, hop)
    expected = np.stack([np.fft.rfft(x_wide[:, t : t + n_fft] * whole) for t in starts], -1)
    close(found, expected / (4 if options.get("normalized") else 1))
    options.pop("pad_mode", None)
    back = cr.fft.istft(to_pairs(found), n_fft, hop, window=window, **options).numpy()
    np.testing.assert_allclose(back, x[:, : back.shape[1]], atol=1e-12)
    assert back.shape[1] >= 97
    if length < n_fft:
        return
    longer = cr.fft.istft(to_pairs(found), n_fft, hop, window=window, length=120, **options).numpy()
    assert longer.shape == (2, 120)
    np.testing.assert_allclose(longer[:, :97], x[:, :97], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: cr.fft.fft(np.ones(3)), cr.errors.ShapeError, "as pairs"),
        (lambda: cr.fft.rfft(np.ones(3), 0), cr.errors.ShapeError, "at least one"),
        (lambda: cr.fft.rfft(np.ones((2, 0))), cr.errors.ShapeError, "at least one"),
        (lambda: cr.fft.rfft(np.ones(3), norm="unit"), cr.errors.ConfigError, "backward, ortho"),
        (lambda: cr.fft.rfft(np.ones(3), axis=1), cr.errors.ShapeError, "no such axis"),
        (lambda: cr.fft.fftn(np.ones((3, 2)), (2, 2)), cr.errors.ShapeError, "pairs"),
        (lambda: cr.fft.fftn(np.ones((3, 3, 2)), (2, 2), (0,)), cr.errors.ShapeError, "pairs"),
        (lambda: cr.fft.stft(np.ones(3), 8, center=False), cr.errors.ShapeError, "shorter"),
        (lambda: cr.fft.stft(np.ones(30), 8, 0), cr.errors.ConfigError, "positive"),
        (lambda: cr.fft.stft(np.ones(30), 8, window=np.ones(9)), cr.errors.ShapeError, "window"),
        (
            lambda: cr.fft.istft(np.ones((5, 3, 2)), 8, 4, window=np.zeros(8)),
            cr.errors.DataError,
            "cover",
        ),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_the_next_length_that_is_quick():
    """The smallest one that is a product of 2, 3 and 5 only."""
    quick = sorted(2**a * 3**b * 5**c for a in range(9) for b in range(6) for c in range(4))
    for n in range(1, 300):
        assert _smooth(n) == next(length for length in quick if length >= n)
