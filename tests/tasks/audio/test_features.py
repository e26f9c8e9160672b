"""Log-mel features against a formula that is written down independently."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.tasks.audio import LogMel
from chainrule.tasks.audio.features import hertz, mel


def reference(x, rate, bands):
    """Frame by frame with NumPy's fast transform, band by band with a loop."""
    length, hop = int(0.025 * rate), int(0.010 * rate)
    points = 1 << (length - 1).bit_length()
    window = np.hanning(length + 1)[:-1]
    to_mel = lambda f: 1127.0 * np.log(1 + f / 700)  # noqa: E731 - the same scale, other units
    edges = np.linspace(to_mel(20), to_mel(rate / 2), bands + 2)
    frequencies = np.fft.rfftfreq(points, 1 / rate)
    rows = []
    for start in range(0, len(x) - length + 1, hop):
        spectrum = np.abs(np.fft.rfft(x[start : start + length] * window, points)) ** 2
        energies = []
        for band in range(bands):
            low, middle, high = (700 * (np.exp(edges[band + i] / 1127.0) - 1) for i in range(3))
            weights = np.interp(frequencies, [low, middle, high], [0, 1, 0], left=0, right=0)
            energies.append((weights * spectrum).sum())
        rows.append(np.log(np.array(energies) + 1e-6))
    return np.array(rows)


@pytest.mark.parametrize(("rate", "bands"), [(16_000, 40), (8_000, 24), (44_100, 40)])
def test_log_mel_is_what_the_formula_says(rate, bands):
    layer = LogMel(rate, bands)
    if rate == 44_100:
        rate = layer.part * 200  # frames are integers of parts; 0.1 % from the exact length
        layer = LogMel(rate, bands)
    generator = np.random.default_rng(0)
    time = np.arange(int(0.3 * rate)) / rate
    chirp = 0.5 * np.sin(2 * np.pi * (200 + 3000 * time) * time)
    x = np.stack([chirp, 0.1 * generator.standard_normal(len(time)), 0 * time]).astype(np.float32)
    found = layer(x).numpy()
    expected = np.stack([reference(row.astype(float), rate, bands) for row in x])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 5e-3  # float32 against float64, after a logarithm


def test_against_scipy_spectra():
    signal = pytest.importorskip("scipy.signal")
    layer = LogMel(16_000)
    x = np.random.default_rng(1).standard_normal((1, layer.samples(7))).astype(np.float32)
    _, _, spectrum = signal.stft(
        x[0], 16_000, "hann", 400, 240, 512, boundary=None, padded=False, scaling="spectrum"
    )
    power = (np.abs(spectrum.T) * np.hanning(401)[:-1].sum()) ** 2
    expected = np.log(power @ layer.mel.numpy() + 1e-6)
    assert np.abs(layer(x).numpy()[0] - expected).max() < 1e-3


def test_a_tone_is_in_its_band():
    layer = LogMel(16_000)
    edges = hertz(np.linspace(mel(20.0), mel(8000.0), 42))
    for frequency in (300.0, 1000.0, 3000.0):
        time = np.arange(layer.samples(5)) / 16_000
        bands = layer(np.sin(2 * np.pi * frequency * time)[None].astype(np.float32)).numpy()[0]
        loudest = int(bands.mean(axis=0).argmax())
        assert edges[loudest] < frequency < edges[loudest + 2]


def test_it_has_a_gradient():
    layer = LogMel(8000, 8)
    x = np.random.default_rng(0).standard_normal((1, layer.samples(2)))
    layer.to("float64")
    assert cr.check_grad(lambda x: layer(x).sum(), x)


def test_silence_is_finite_and_the_mel_scale_has_an_inverse():
    layer = LogMel(8000)
    assert np.isfinite(layer(np.zeros((1, 800), np.float32)).numpy()).all()
    f = np.array([20.0, 1000.0, 7999.0])
    assert np.allclose(hertz(mel(f)), f)
    assert layer.frames(layer.samples(9)) == 9
