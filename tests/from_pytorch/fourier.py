"""PyTorch's Fourier transforms and complex numbers, which are pairs here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule as cr

from .table import add, plain, unless, written

PAIRS = "complex numbers are pairs"


def _given(names: str, args: Any, kwargs: Any) -> dict[str, Any]:
    given = dict(zip(names.split(), args, strict=False)) | kwargs
    renamed = {"dim": "axes" if names.startswith("s") else "axis"}
    return {renamed.get(key, key): value for key, value in given.items()}


def transform(function: Any, names: str, real: bool) -> Callable[..., Any]:
    """A transform, of PyTorch's arguments after the first under these names."""

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        options = _given(names, args, kwargs)
        for key in ("s", "axes"):
            if isinstance(options.get(key), int):
                options[key] = (options[key],)
        if options.get("s") is not None:
            axes = options.get("axes")
            axes = range(x.ndim - len(options["s"]), x.ndim) if axes is None else axes
            sizes = [x.shape[a] if n == -1 else n for n, a in zip(options["s"], axes, strict=True)]
            options["s"] = sizes
        return function(x if real else cr.fft.pairs(x), **options)

    return call


for _name in ("fft", "ifft", "irfft", "hfft", "rfft", "ihfft"):
    for _suffix, _names in (("", "n dim norm"), ("2", "s dim norm"), ("n", "s dim norm")):
        _full = _name + _suffix
        _real = _name in ("rfft", "ihfft")
        _call = transform(getattr(cr.fft, _full), _names, _real)
        add(f"fft.{_full}", f"fft.{_full}", _call, PAIRS)


def _shift(function: Any) -> Callable[..., Any]:
    return lambda x, dim=None: function(x, tuple(dim) if isinstance(dim, list) else dim)


add("fft.fftshift", "fft.fftshift", _shift(cr.fft.fftshift))
add("fft.ifftshift", "fft.ifftshift", _shift(cr.fft.ifftshift))


def _stft(x: Any, n_fft: int, *args: Any, **kwargs: Any) -> Any:
    names = "hop_length win_length window center pad_mode normalized onesided return_complex"
    options = _given(names, args, kwargs)
    unless(options.pop("onesided", None) is False, "the first half of the spectrum only")
    unless(options.pop("align_to_window", None), "no align_to_window")
    options.pop("return_complex", None)
    return cr.fft.stft(x, n_fft, **options)


add("stft", "fft.stft", _stft, PAIRS)
add("complex", "fft.pairs", plain(cr.fft.pairs), PAIRS)
add("cdouble cfloat", "fft.pairs", plain(cr.fft.pairs), PAIRS)
written("view_as_complex", "x", plain(lambda x: x), PAIRS)
written(
    "polar",
    "stack([r * cos(a), r * sin(a)], -1)",
    lambda r, a: cr.stack([r * cr.cos(a), r * cr.sin(a)], -1),
    PAIRS,
)
