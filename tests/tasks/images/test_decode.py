"""Whatever a file holds becomes an image of the size that is asked for, or an error."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from chainrule.errors import DataError
from chainrule.tasks.images import decode
from chainrule.tasks.images.decode import read_header, read_image


def saved(folder, image, name="x.png", **options):
    image.save(folder / name, **options)
    return str(folder / name)


@pytest.mark.parametrize(
    ("mode", "grey"),
    [("1", True), ("L", True), ("LA", True), ("P", False), ("RGB", False), ("RGBA", False)],
)
def test_modes(tmp_path, mode, grey):
    path = saved(tmp_path, Image.new("RGB", (6, 4), "white").convert(mode))
    assert read_header(path) == decode.Header(4, 6, grey)
    for channels in (1, 3):
        image = read_image(path, 4, 6, channels)
        assert image.shape == (4, 6, channels)
        assert image.dtype == np.uint8
        assert (image == 255).all()


def test_other_formats(tmp_path):
    red = Image.new("RGB", (8, 8), (200, 30, 40))
    for name in ("x.jpg", "x.bmp", "x.gif", "x.tif", "x.webp", "x.ppm"):
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
        (lying_png(2_000, 2_000), "2,000×2,000 pixels"),
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
