"""Log-mel features as nodes of the graph: what a network hears.

Sources: Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word
recognition", 1980 (bands on the mel scale, logarithm); O'Shaughnessy, "Speech communication",
1987 (m = 2595·log₁₀(1 + f/700)); as in HTK and Kaldi, windows of 25 ms every 10 ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn
from ...engine.ops import concatenate, log, matmul, reshape
from ...engine.tensor import Buffer, Tensor
from ...utils.typing import Array

#: A frame is so many parts long, and begins so many parts after the one before: 25 ms and 10 ms.
PARTS, STEP = 5, 2
_PART_SECONDS = 0.005
#: Added to the energy of a band, so that silence has a logarithm: about -100 dB.
_SILENCE = 1e-6
_LOWEST = 20.0


class LogMel(nn.Module):
    """Sound → energies in bands that are evenly spaced for the ear, as logarithms.

    Frames x of 25 ms, every 10 ms, under a Hann window w; the discrete Fourier transform as two
    matrix products, with N the power of two from the length of a frame up:

        aₖ = Σₙ wₙ xₙ cos(2πkn/N),   bₖ = Σₙ wₙ xₙ sin(2πkn/N),   k = 0 … N/2,

    then the energy in each of the triangular mel bands, and its logarithm:

        yₘ = ln(Σₖ Mₖₘ (aₖ² + bₖ²) + 10⁻⁶).

    Args:
        rate: sample rate.
        bands: how many.

    Example:
        >>> import chainrule as cr
        >>> mel = LogMel(16_000)
        >>> mel(cr.zeros((3, mel.samples(98)))).shape
        (3, 98, 40)
    """

    def __init__(self, rate: int, bands: int = 40) -> None:
        self.part = round(_PART_SECONDS * rate)
        self.rate = rate
        length = PARTS * self.part
        points = 1 << (length - 1).bit_length()
        angle = 2 * np.pi * np.outer(np.arange(length), np.arange(points // 2 + 1)) / points
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        self.cosine = Buffer((window[:, None] * np.cos(angle)).astype(np.float32))
        self.sine = Buffer((window[:, None] * np.sin(angle)).astype(np.float32))
        self.mel = Buffer(mel_bands(rate, points, bands).astype(np.float32))

    def frames(self, samples: int) -> int:
        """How many frames there are in a sound of this length."""
        return max((samples // self.part - PARTS) // STEP + 1, 1)

    def samples(self, frames: int) -> int:
        """The length of a sound of so many frames."""
        return (PARTS + STEP * (frames - 1)) * self.part

    def forward(self, x: Tensor) -> Tensor:
        """(rows, samples) from -1 to 1 → (rows, frames, bands)."""
        rows, samples = x.shape
        parts = samples // self.part
        pieces = reshape(x[:, : parts * self.part], (rows, parts, self.part))
        reach = STEP * (self.frames(samples) - 1) + 1
        framed = concatenate([pieces[:, i : i + reach : STEP] for i in range(PARTS)], axis=2)
        power = matmul(framed, self.cosine) ** 2 + matmul(framed, self.sine) ** 2
        return log(matmul(power, self.mel) + _SILENCE)

    def extra_repr(self) -> str:
        """Rate and number of bands."""
        return f"rate={self.rate}, bands={self.mel.shape[1]}"


def log_mel(x: Array, rate: int, bands: int = 40) -> Array:
    """What `LogMel` gives for one sound, by a fast Fourier transform.

    Args:
        x: (samples,) from -1 to 1.
        rate: sample rate.
        bands: how many.

    Returns:
        (frames, bands) float32; a sound that is shorter than a frame is padded with silence.

    Example:
        >>> sound = np.sin(np.arange(4000)).astype(np.float32)
        >>> graph = LogMel(8000)(sound[None]).numpy()[0]
        >>> bool(np.abs(log_mel(sound, 8000) - graph).max() < 1e-3)
        True
    """
    part = round(_PART_SECONDS * rate)
    length, step = PARTS * part, STEP * part
    x = np.pad(x, (0, max(length - len(x), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(x, length)[::step]
    frames = frames[: max((len(x) // part - PARTS) // STEP + 1, 1)]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    points = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(frames * window, points, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    found = np.log(power @ mel_bands(rate, points, bands) + _SILENCE)
    return np.asarray(found.astype(np.float32))


def mel_bands(rate: int, points: int, bands: int) -> Array:
    """How much each frequency counts in each band: triangles that meet their neighbours' middles.

    Args:
        rate: sample rate.
        points: of the Fourier transform.
        bands: how many, evenly spaced on the mel scale from 20 Hz to half the rate.

    Returns:
        (points // 2 + 1, bands), the peak of each triangle is 1.
    """
    edges = hertz(np.linspace(mel(_LOWEST), mel(rate / 2), bands + 2))
    frequency = np.arange(points // 2 + 1)[:, None] * rate / points
    lower, middle, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequency - lower) / (middle - lower), (upper - frequency) / (upper - middle)
    return np.maximum(np.minimum(rising, falling), 0.0)


def mel(frequency: Any) -> Any:
    """Hertz → mel: 2595·log₁₀(1 + f/700).

    Example:
        >>> round(mel(1000.0))
        1000
    """
    return 2595.0 * np.log10(1.0 + np.asarray(frequency) / 700.0)


def hertz(mels: Any) -> Any:
    """Mel → hertz: the inverse of `mel`."""
    return 700.0 * (10.0 ** (np.asarray(mels) / 2595.0) - 1.0)
