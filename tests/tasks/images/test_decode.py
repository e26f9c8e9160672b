"""Whatever a file holds becomes an image of the size that is asked for, or an error."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from chainrule.data import image_files as decode
from chainrule.data.image_files import read_header, read_image, read_range
from chainrule.errors import DataError
from chainrule.tasks.kinds.images import KIND


def saved(folder, image, name="x.png", **options):
    image.save(folder / name, **options)
    return str(folder / name)


@pytest.mark.parametrize(
    ("mode", "grey"),
    [("1", True), ("L", True), ("LA", True), ("P", False), ("RGB", False), ("RGBA", False)],
)
def test_modes(tmp_path, mode, grey):
    path = saved(tmp_path, Image.new("RGB", (6, 4), "white").convert(mode))
    assert read_header(path) == decode.Header(4, 6, grey, transparent=mode in ("LA", "RGBA"))
    for channels in (1, 3):
        image = read_image(path, 4, 6, channels)
        assert image.shape == (4, 6, channels)
        assert image.dtype == np.uint8
        assert (image == 255).all()


def test_other_formats(tmp_path):
    red = Image.new("RGB", (8, 8), (200, 30, 40))
    for name in (
        "x.jpg", "x.jfif", "x.jpe", "X.JPEG", "x.bmp", "x.dib", "x.gif", "x.tif", "x.webp", "x.ppm",
        "x.tga", "x.pcx", "x.ico", "x.sgi", "x.jp2", "x.dds", "x.qoi",
    ):  # fmt: skip
        assert name.lower().endswith(KIND.endings)
        image = read_image(saved(tmp_path, red, name), 8, 8, 3)
        assert np.abs(image.astype(int) - [200, 30, 40]).max() <= 4, name
    cmyk = read_image(saved(tmp_path, red.convert("CMYK"), "c.jpg"), 8, 8, 3)
    assert np.abs(cmyk.astype(int) - [200, 30, 40]).max() <= 4


def test_grey_is_the_luminance(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (8, 8), (100, 200, 50)))
    expected = 0.299 * 100 + 0.587 * 200 + 0.114 * 50
    assert abs(int(read_image(path, 8, 8, 1)[0, 0, 0]) - expected) <= 1


def test_sixteen_bits_and_fractions(tmp_path):
    ramp = np.array([[0, 32768, 65535]], dtype=np.uint16)
    path = saved(tmp_path, Image.fromarray(ramp))
    assert read_image(path, 1, 3, 1).ravel().tolist() == [0, 128, 255]
    fractions = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    path = saved(tmp_path, Image.fromarray(fractions), "x.tif")
    assert read_image(path, 1, 3, 1).ravel().tolist() == [0, 128, 255]


def test_levels_keep_the_detail_of_more_bits(tmp_path):
    ramp = np.array([[0, 1, 2047, 4095]], dtype=np.uint16)
    path = saved(tmp_path, Image.fromarray(ramp))
    assert read_header(path).deep
    assert read_range(path) == (0, 4095, True)
    for channels in (1, 3):
        x = read_image(path, 1, 4, channels, levels=(0.0, 4095.0))
        assert x.dtype == np.float32
        assert np.allclose(x[0], (ramp[0] * (255 / 4095))[:, None], atol=1e-4)
    shallow = saved(tmp_path, Image.new("L", (4, 1), 100), "s.png")
    assert (read_image(shallow, 1, 4, 1, levels=(0.0, 4095.0)) == 100).all()
    below = np.array([[-1000.0, 0.0, 3000.0]], dtype=np.float32)
    path = saved(tmp_path, Image.fromarray(below), "x.tif")
    found = read_image(path, 1, 3, 1, levels=(-1000.0, 3000.0))
    assert np.allclose(found.ravel(), [0, 63.75, 255])
    path = saved(tmp_path, Image.fromarray(below * np.nan), "n.tif")
    with pytest.raises(DataError) as caught:
        read_image(path, 1, 3, 1, levels=(0.0, 1.0))
    assert caught.value.found == "pixels that are not finite"


def test_blank_scans_of_few_bytes(tmp_path):
    path = saved(tmp_path, Image.new("1", (3000, 4000), 1), "x.tif", compression="group4")
    assert (tmp_path / "x.tif").stat().st_size < 3000
    assert (read_image(path, 8, 8, 1) >= 254).all()


def test_what_would_start_a_program_is_not_even_tried(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: pytest.fail("started"))
    path = tmp_path / "x.png"
    Image.new("L", (8, 8)).save(path, "EPS")
    with pytest.raises(DataError) as caught:
        read_image(str(path), 8, 8, 1)
    assert caught.value.found == "no image of a known format"


def test_heic_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_formats", lambda: ("PNG",))
    path = tmp_path / "x.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    with pytest.raises(DataError) as caught:
        read_image(str(path), 8, 8, 1)
    assert caught.value.hint == "pip install pillow-heif"


def test_a_broken_exif_block_is_no_traceback(tmp_path):
    path = saved(tmp_path, Image.new("L", (8, 8)), "x.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    with contextlib.suppress(DataError):
        read_header(path)
    with contextlib.suppress(DataError):
        read_image(path, 8, 8, 1)


def test_transparency_becomes_white(tmp_path):
    path = saved(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 0)))
    assert (read_image(path, 4, 4, 3) == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert (read_image(saved(tmp_path, palette, "p.gif", transparency=0), 4, 4, 1) == 255).all()


def test_the_orientation_of_cameras(tmp_path):
    upright = np.zeros((6, 4), np.uint8)
    upright[0] = 255  # the top row is bright
    lying = Image.fromarray(np.rot90(upright).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to look at it
    path = saved(tmp_path, lying, "x.png", exif=exif)
    assert read_header(path) == decode.Header(6, 4, True)
    assert np.array_equal(read_image(path, 6, 4, 1)[..., 0], upright)


def test_other_sizes_are_stretched(tmp_path):
    halves = np.zeros((20, 40), np.uint8)
    halves[:, 20:] = 255
    image = read_image(saved(tmp_path, Image.fromarray(halves)), 10, 10, 1)[..., 0]
    assert (image[:, :4] == 0).all()
    assert (image[:, 6:] == 255).all()


def lying_png(width, height):
    """A PNG whose header says another size than its pixels have."""
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"hello", "no image of a known format"),
        (lying_png(60_000, 60_000), "60,000×60,000 pixels"),
        (lying_png(2_000, 2_000), ""),
        (lying_png(40, 40), ""),
        (None, ""),
    ],
)
def test_bad_files_are_named(tmp_path, content, said):
    path = tmp_path / "bad.png"
    if content is None:  # cut off
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_image(str(path), 8, 8, 1)
    assert caught.value.where == str(path)
    assert said in caught.value.found


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_header(str(tmp_path / "gone.png"))
    assert "No such file" in caught.value.found
