"""Whatever a sound file holds becomes one rate, one channel and one length, or an error."""

import builtins

import numpy as np
import pytest

from chainrule.errors import ConfigError, DataError
from chainrule.tasks.audio import decode
from chainrule.tasks.audio.decode import read_header, read_sound
from chainrule.tasks.kinds.audio import KIND

from .conftest import tone, write_wav


@pytest.fixture(params=["soundfile", "wave"])
def reader(request, monkeypatch):
    """With soundfile, and with Python's own module only."""
    if request.param == "soundfile":
        pytest.importorskip("soundfile")
    else:
        monkeypatch.setattr(decode, "_soundfile", lambda: None)
    return request.param


def forbid(monkeypatch, package):
    """As if a package were not installed."""
    find = builtins.__import__

    def without(name, *arguments, **options):
        if name == package:
            raise ImportError(name)
        return find(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths(tmp_path, reader, width):
    x = tone(440, 8000)
    path = write_wav(tmp_path / "x.wav", x, width=width)
    assert read_header(path) == decode.Header(8000, 1, len(x))
    found = read_sound(path, 8000, len(x)) / 32767
    assert np.abs(found - x).max() < (0.01 if width == 1 else 1e-4)


def test_channels_are_averaged(tmp_path, reader):
    left, right = tone(440, 8000), tone(880, 8000)
    path = write_wav(tmp_path / "x.wav", np.stack([left, right], axis=1))
    assert np.abs(read_sound(path, 8000, len(left)) / 32767 - (left + right) / 2).max() < 1e-3


def test_channels_that_cancel_are_not_averaged(tmp_path, reader):
    x = tone(440, 8000)
    path = write_wav(tmp_path / "x.wav", np.stack([0.5 * x, -x, 0.5 * x], axis=1))
    assert np.abs(read_sound(path, 8000, len(x)) / 32767 + x).max() < 1e-3
    assert decode.cancels(path)
    silent = write_wav(tmp_path / "y.wav", np.stack([x, 0 * x], axis=1))
    assert np.abs(read_sound(silent, 8000, len(x)) / 32767 - x / 2).max() < 1e-3
    assert not decode.cancels(silent)


def test_floats_above_full_scale_and_faint_ones_keep_their_shape(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    x = tone(440, 8000, level=1.0)
    for name, level, expected in (("loud", 20_000.0, 1.0), ("faint", 1e-5, 0.25)):
        soundfile.write(tmp_path / f"{name}.wav", x * level, 8000, subtype="FLOAT")
        found = read_sound(str(tmp_path / f"{name}.wav"), 8000, len(x)) / 32767
        assert np.abs(found - x * expected).max() < 1e-3, name


def test_of_a_very_long_sound_only_the_middle_is_read(tmp_path, reader, monkeypatch):
    ramp = np.linspace(-0.9, 0.9, 4001)
    path = write_wav(tmp_path / "x.wav", ramp)
    whole = read_sound(path, 8000, 501)
    monkeypatch.setattr(decode, "_LONG", 1000)
    assert np.array_equal(read_sound(path, 8000, 501), whole)


@pytest.mark.parametrize("name", ["x.opus", "x.oga", "x.au", "x.caf", "x.w64", "x.voc", "X.WAV"])
def test_every_format_of_soundfile(tmp_path, name):
    soundfile = pytest.importorskip("soundfile")
    x = tone(440, 16_000)
    kinds = {"opus": ("OGG", "OPUS"), "oga": ("OGG", "VORBIS"), "wav": ("WAV", "PCM_24")}
    kind, subtype = kinds.get(name[2:].lower(), (name[2:].upper(), "PCM_16"))
    soundfile.write(tmp_path / name, x, 16_000, format=kind, subtype=subtype)
    assert name.lower().endswith(KIND.endings)
    found = read_sound(str(tmp_path / name), 16_000, len(x)) / 32767
    assert np.abs(found - x)[800:-800].max() < (0.05 if kind == "OGG" else 1e-3)


def test_lengths(tmp_path, reader):
    ramp = np.linspace(-0.9, 0.9, 101)
    path = write_wav(tmp_path / "x.wav", ramp)
    whole = read_sound(path, 8000, 101)
    assert np.array_equal(read_sound(path, 8000, 51), whole[25:76])
    longer = read_sound(path, 8000, 201)
    assert np.array_equal(longer[50:151], whole)
    assert not longer[:50].any()
    assert not longer[151:].any()


@pytest.mark.parametrize(("old", "new"), [(44_100, 16_000), (8_000, 16_000), (22_050, 16_000)])
def test_a_resampled_tone_stays_a_tone(tmp_path, reader, old, new):
    pytest.importorskip("soxr")
    path = write_wav(tmp_path / "x.wav", tone(1000, old), old)
    expected = tone(1000, new)
    error = read_sound(path, new, len(expected)) / 32767 - expected
    assert np.abs(error[new // 50 : -new // 50]).max() < 1e-3


def test_what_is_too_high_for_the_sample_rate_goes(tmp_path):
    pytest.importorskip("soxr")
    path = write_wav(tmp_path / "x.wav", tone(11_000, 44_100), 44_100)
    assert np.abs(read_sound(path, 16_000, 4800)[400:-400]).max() <= 10


def test_a_sound_of_one_sample_is_resampled(tmp_path):
    pytest.importorskip("soxr")
    path = write_wav(tmp_path / "x.wav", np.ones(1) / 2, 44_100)
    assert read_sound(path, 16_000, 4).shape == (4,)


def test_only_another_sample_rate_needs_soxr(tmp_path, monkeypatch):
    forbid(monkeypatch, "soxr")
    path = write_wav(tmp_path / "x.wav", tone(440, 8000))
    assert read_sound(path, 8000, 100).any()
    with pytest.raises(ConfigError, match="soxr") as caught:
        read_sound(path, 16_000, 100)
    assert caught.value.where == path
    assert "8,000 Hz" in caught.value.found
    assert "chainrule[audio]" in caught.value.hint


def test_flac_and_floats(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    x = tone(440, 16_000).astype(np.float32)
    for name, subtype in (("x.flac", "PCM_16"), ("f.wav", "FLOAT"), ("x.ogg", "VORBIS")):
        soundfile.write(tmp_path / name, x, 16_000, subtype=subtype)
        found = read_sound(str(tmp_path / name), 16_000, len(x)) / 32767
        assert np.abs(found - x)[200:-200].max() < (0.05 if name == "x.ogg" else 1e-4)
    soundfile.write(tmp_path / "n.wav", x * np.nan, 16_000, subtype="FLOAT")
    with pytest.raises(DataError) as caught:
        read_sound(str(tmp_path / "n.wav"), 16_000, 100)
    assert "not finite" in caught.value.found


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "0 bytes"), (b"RIFF", ""), (b"hello, this is no sound", "")]
)
def test_bad_files_are_named(tmp_path, reader, content, said):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_sound(str(path), 8000, 100)
    assert caught.value.where == str(path)
    assert said in caught.value.found


def test_a_length_of_0(tmp_path, reader):
    path = write_wav(tmp_path / "x.wav", np.zeros(0))
    with pytest.raises(DataError) as caught:
        read_sound(path, 8000, 100)
    assert caught.value.found == "a length of 0"


def test_a_length_that_lies(tmp_path, reader):
    path = tmp_path / "x.wav"
    write_wav(path, tone(440, 8000))
    path.write_bytes(path.read_bytes()[:500])  # the header says more
    assert len(read_sound(str(path), 8000, 300)) == 300


def test_silence_is_a_sound(tmp_path, reader):
    path = write_wav(tmp_path / "x.wav", np.zeros(800))
    assert not read_sound(path, 16_000, 100).any()


def test_other_formats_need_soundfile(tmp_path, monkeypatch):
    forbid(monkeypatch, "soundfile")
    (tmp_path / "x.flac").write_bytes(b"fLaC")
    with pytest.raises(ConfigError, match="soundfile") as caught:
        read_header(str(tmp_path / "x.flac"))
    assert "chainrule[audio]" in caught.value.hint
