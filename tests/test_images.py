"""Pictures of every format, mode and turn, and files that are broken or hostile."""

import io
import os
import random
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from striate import images
from striate.errors import DataError
from striate.images import PictureError

ENCODERS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "PPM": {},
    "DIB": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0},
    "JPEG2000": {},
    "ICO": {"sizes": [(40, 30), (20, 15)]},
    "TGA": {},
    "DDS": {},
    "SGI": {},
    "PCX": {},
    "PSD": {},
    "QOI": {},
}
# Modes of Pillow that its writer of a format takes, beside RGB; they come back as they were.
MODES = {
    "AVIF": ("RGBA",),
    "HEIF": ("L", "RGBA"),
    "JPEG2000": ("L", "LA", "RGBA", "I;16", "CMYK"),
    "ICO": ("1", "L", "P", "RGBA", "I;16"),
    "TGA": ("1", "L", "LA", "P", "RGBA"),
    "DDS": ("L", "LA", "RGBA"),
    "SGI": ("L", "RGBA"),
    "PCX": ("1", "L", "P"),
    "QOI": ("RGBA",),
    "DIB": ("1", "L", "P"),
}


def opened(source: Path | bytes, **options: Any) -> Image.Image:
    """Decode a file, as a Pillow image."""
    return Image.fromarray(images.decode(source, **options))


def drawn(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """Draw slopes and a block: no two of its corners, and no two of its turns, are alike."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1)
    blue = 255.0 * ((x < width / 3) & (y < height / 4))
    return Image.fromarray(np.stack([red, green, blue], 2).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if format == "HEIF":
        pillow_heif.register_heif_opener()
    if format == "PSD":
        return psd(image)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def psd(image: Image.Image) -> bytes:
    """Assemble a Photoshop file of one flat picture, which Pillow does not write."""
    planes = np.asarray(image).transpose(2, 0, 1)
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, *planes.shape, 8, 3)
    return header + bytes(12) + struct.pack(">H", 0) + planes.tobytes()


def named(format: str) -> str:
    """Return a name with the format's ending, which some formats are known by."""
    return f"picture.{images.FORMATS[format].endings.split()[0]}"


def tiff(pixels: np.ndarray, *, photometric: int, bits: int, order: str = "<") -> bytes:
    """Assemble a TIFF by hand: (H, W, bands) of numbers, in as many bits as is said."""
    height, width, bands = pixels.shape
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    data = (pixels if order == "<" else pixels.byteswap()).tobytes()
    if bits == 12:
        pairs = pixels.reshape(-1, 2).astype(int)
        data = b"".join(((int(a) << 12) | int(b)).to_bytes(3) for a, b in pairs)
    # Values of two bytes stand together after the directory, where the entry has no room for them.
    start = 8 + 2 + 12 * 10 + 4
    lists = {258: start, 339: start + 2 * bands}
    values = {256: width, 257: height, 258: bits, 259: 1, 262: photometric}
    values |= {273: start + 4 * bands, 277: bands, 278: height, 279: len(data), 339: kind}
    found = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(values))
    for tag, value in values.items():
        if tag in lists and bands > 2:
            found += struct.pack(f"{order}HHII", tag, 3, bands, lists[tag])
        elif tag in lists and bands == 2:
            found += struct.pack(f"{order}HHIHH", tag, 3, 2, value, value)
        else:
            found += struct.pack(f"{order}HHII", tag, 4, 1, value)
    tables = struct.pack(f"{order}{2 * bands}H", *[bits] * bands, *[kind] * bands)
    return found + bytes(4) + tables + data


def refusal(content: bytes, name: str = "picture") -> PictureError | None:
    try:
        found = opened(content, max_pixels=100_000, name=name)
    except PictureError as error:
        return error
    assert found.mode in ("L", "RGB")
    assert found.width * found.height <= 100_000
    return None


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def png(header: bytes, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Assemble a PNG file by hand, as an oracle that Pillow's writer has no part in."""
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("format", images.FORMATS)
def test_each_format_keeps_the_picture(format: str, tmp_path: Path) -> None:
    content = encoded(drawn(), format, **ENCODERS[format])
    path = tmp_path / named(format)
    path.write_bytes(content)
    found = opened(path)
    assert (found.mode, found.size) == ("RGB", (40, 30))
    # A palette and JPEG's chroma lose some; the block's border is where most is lost.
    lost = {"GIF": 20, "JPEG": 4, "AVIF": 1}.get(format, 1e-9)
    assert np.abs(array(found) - array(drawn())).mean() < lost
    assert array(opened(content, name=path.name)).tolist() == array(found).tolist()
    assert images.header(path) == (30, 40, False)
    assert images.is_picture(path)


@pytest.mark.parametrize(("format", "mode"), [(f, m) for f in MODES for m in MODES[f]])
def test_each_mode_of_a_format_comes_back_as_it_was(format: str, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray((np.arange(1200).reshape(30, 40) * 54).astype(np.uint16))
    else:
        image = drawn()
        if mode.endswith("A"):
            image.putalpha(drawn(mode="L"))
        image = image.convert(mode)
    found = opened(encoded(image, format, **ENCODERS[format]), name=named(format))
    expected = images.eight_bit(image)
    assert found.mode == expected.mode
    assert np.abs(array(found) - array(expected)).mean() < (1.5 if format == "AVIF" else 1e-9)


def test_names_tell_pictures_from_other_files() -> None:
    names = ["a.jpg", "b.JPEG", "c.Png", "d.tif", "e.pgm", "f.webp", "g.gif", "h.bmp", "i.pnm"]
    names += ["a.avif", "b.HEIC", "c.heif", "d.jp2", "e.ico", "f.tga", "g.dds", "h.sgi"]
    assert all(images.is_picture(Path("folder") / name) for name in names)
    others = ["a.txt", "jpg", ".hidden.jpg", "._a.jpg", "a.jpg.part", "a.svg", "a"]
    assert not any(images.is_picture(Path("folder") / name) for name in others)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_turned_picture_comes_back_upright(format: str, orientation: int, tmp_path: Path) -> None:
    # EXIF: where the stored picture's first row and first column lie in the upright one.
    axes = np.arange(40 * 30).reshape(30, 40)
    turns = [
        axes,
        axes[:, ::-1],
        axes[::-1, ::-1],
        axes[::-1],
        axes.T,
        np.rot90(axes),
        axes[::-1, ::-1].T,
        np.rot90(axes, -1),
    ]
    stored = array(drawn()).reshape(-1, 3)[turns[orientation - 1]].astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else ENCODERS[format]
    # Of bytes, the writer of HEIF makes a turn of its own, which is what counts there.
    block = exif.tobytes() if format == "HEIF" else exif
    content = encoded(Image.fromarray(stored), format, exif=block, **options)
    found = opened(content)
    assert found.size == (40, 30)
    most = {"JPEG": 60, "AVIF": 4}.get(format, 0)
    assert np.abs(array(found) - array(drawn())).max() <= most
    assert np.abs(array(found) - array(drawn())).mean() < 2
    # The lazy picture that a user opened is the same, and is not turned twice.
    lazy = images.upright(Image.open(io.BytesIO(content)))
    assert array(lazy).tolist() == array(found).tolist()
    assert array(images.upright(found)).tolist() == array(found).tolist()
    path = tmp_path / "picture"
    path.write_bytes(content)
    assert images.header(path) == (30, 40, False)


@pytest.mark.parametrize(
    "block",
    [
        b"nonsense",
        b"",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0x\0\0\0\0\0\0\0",  # turned by "x"
    ],
)
def test_a_broken_exif_block_is_not_fatal(block: bytes) -> None:
    content = encoded(drawn(), "JPEG", exif=b"Exif\0\0" + block)
    assert opened(content).size == (40, 30)


def test_a_nonsense_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[274] = 77
    assert opened(encoded(drawn(), "PNG", exif=exif)).size == (40, 30)


@given(colour=st.tuples(*[st.integers(0, 255)] * 3), alpha=st.integers(0, 255), grey=st.booleans())
@settings(deadline=None, derandomize=True, max_examples=50)
def test_what_is_transparent_lies_over_white(colour: Any, alpha: int, grey: bool) -> None:
    mode, pixel = ("LA", (colour[0], alpha)) if grey else ("RGBA", (*colour, alpha))
    found = opened(encoded(Image.new(mode, (3, 2), pixel), "PNG"))
    assert found.mode == mode.removesuffix("A")
    expected = (np.array(pixel[:-1]) * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(array(found)[1, 1] - expected).max() <= 0.5 + 1e-6


def test_transparent_colours_and_palettes_lie_over_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    for transparency in (1, b"\xff\x00"):
        content = encoded(palette, "PNG", transparency=transparency)
        assert array(opened(content)).tolist() == [[[10, 20, 30], [255, 255, 255]]]
    half = opened(encoded(palette, "PNG", transparency=b"\xff\x33"))
    assert array(half)[0, 1].tolist() == [244, 224, 214]  # one fifth of the colour
    assert array(opened(encoded(palette, "PNG")))[0, 1].tolist() == [200, 100, 50]
    both = palette.convert("PA")
    both.putalpha(Image.fromarray(np.array([[255, 0]], np.uint8)))
    assert array(images.eight_bit(both)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("transparent", [7, 8])
def test_a_transparent_colour_without_alpha_becomes_white(transparent: int) -> None:
    kept = 255 if transparent == 7 else 7
    grey = png(
        struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), b"\0\x07", (b"tRNS", bytes([0, transparent]))
    )
    assert array(opened(grey)).tolist() == [[kept]]
    colour = struct.pack(">HHH", 7, 7, transparent)
    rgb = png(struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0), b"\0\x07\x07\x07", (b"tRNS", colour))
    assert array(opened(rgb)).tolist() == [[[kept] * 3]]
    deep = struct.pack(">HHH", *[0x0107] * 3)  # of the pixel it has the low byte only
    rgb = png(struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0), b"\0" + b"\x07" * 6, (b"tRNS", deep))
    assert array(opened(rgb)).tolist() == [[[7] * 3]]
    grey = png(
        struct.pack(">IIBBBBB", 1, 1, 16, 0, 0, 0, 0),
        b"\0\x07\x07",
        (b"tRNS", bytes([transparent] * 2)),
    )
    assert array(opened(grey)).tolist() == [[kept]]


@pytest.mark.parametrize("format", ["PNG", "PPM", "TIFF", "by hand", "plain"])
def test_sixteen_bit_grey_is_scaled_and_never_clipped(format: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    if format == "by hand":
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        content = png(struct.pack(">IIBBBBB", 256, 256, 16, 0, 0, 0, 0), rows)
    elif format == "plain":
        content = b"P2 256 256 65535\n" + " ".join(map(str, values.ravel())).encode()
    else:
        content = encoded(Image.fromarray(values), format)
    found = opened(content)
    assert found.mode == "L"
    assert array(found).tolist() == np.round(values / 257).astype(int).tolist()


@pytest.mark.parametrize("format", ["PNG", "PPM", "TIFF"])
def test_sixteen_bit_grey_is_not_stretched_to_its_range(format: str) -> None:
    values = np.array([[257 * 99, 257 * 100]], np.uint16)
    assert array(opened(encoded(Image.fromarray(values), format))).tolist() == [[99, 100]]


def test_sixteen_bit_colour_is_not_clipped() -> None:
    values = np.linspace(0, 65535, 256 * 3).astype(">u2").reshape(1, 256, 3)
    content = png(struct.pack(">IIBBBBB", 256, 1, 16, 2, 0, 0, 0), b"\0" + values.tobytes())
    found = array(opened(content))
    assert np.abs(found - values.astype(int) / 257).max() <= 1


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_white_are_stretched_to_their_range(mode: str) -> None:
    values = np.array([[-70000, 0, 70000], [35000, -35000, 100]])
    image = Image.fromarray(values.astype({"I": np.int32, "F": np.float32}[mode]))
    expected = np.round((values + 70000) * 255 / 140000).astype(int)
    for found in (images.eight_bit(image), opened(encoded(image, "TIFF"))):
        assert np.abs(array(found) - expected).max() <= (1 if mode == "F" else 0)
    assert array(images.eight_bit(Image.new(mode, (2, 2), 9))).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite_are_refused(bad: float) -> None:
    values = np.zeros((2, 2), np.float32)
    values[1, 0] = bad
    with pytest.raises(PictureError, match="not finite"):
        opened(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize(
    ("mode", "format", "given"),
    [
        ("1", "PNG", "L"),
        ("1", "PPM", "L"),
        ("L", "JPEG", "L"),
        ("CMYK", "TIFF", "RGB"),
        ("CMYK", "JPEG", "RGB"),
        ("YCbCr", "TIFF", "RGB"),
        ("LAB", "TIFF", "RGB"),
        ("P", "GIF", "RGB"),
        ("RGBA", "TIFF", "RGB"),
    ],
)
def test_every_mode_of_a_file_becomes_grey_or_rgb(mode: str, format: str, given: str) -> None:
    picture = Image.new("RGB", (16, 16), (204, 102, 51)).convert(mode)
    found = opened(encoded(picture, format))
    assert found.mode == given
    expected = picture.convert("RGB").convert("RGB") if given == "RGB" else picture.convert("L")
    assert np.abs(array(found) - array(expected)).max() <= 3
    if given == "RGB":
        assert np.abs(array(found)[3, 3] - (204, 102, 51)).max() <= 3


@pytest.mark.parametrize("mode", ["HSV", "RGBX", "RGBa", "La", "YCbCr", "LAB", "I;16", "CMYK"])
def test_every_mode_in_memory_becomes_grey_or_rgb(mode: str) -> None:
    if mode == "I;16":
        image = Image.new(mode, (2, 2), 128 * 257)
    else:
        image = Image.new("RGBA", (2, 2), (128, 128, 128, 255))
        image = image.convert("LA") if mode == "La" else image
        image = image if mode in ("La", "RGBa") else image.convert("RGB")
        image = image.convert(mode)
    found = images.eight_bit(image)
    assert found.mode == ("L" if mode in ("La", "I;16") else "RGB")
    assert np.abs(array(found) - 128).max() <= 2


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for format in ("PNG", "PPM", "BMP", "TIFF"):
        assert array(opened(encoded(image, format))).tolist() == [[0, 255]]


def test_cmyk_of_a_jpeg_is_not_inverted() -> None:
    colours = {"red": (0, 255, 255, 0), "cyan": (255, 0, 0, 0), "black": (0, 0, 0, 255)}
    for name, inks in colours.items():
        content = encoded(Image.new("CMYK", (16, 16), inks), "JPEG", quality=95)
        found = array(opened(content))[8, 8]
        assert np.abs(found - Image.new("RGB", (1, 1), name).getpixel((0, 0))).max() <= 4


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG", "AVIF", "HEIF"])
def test_of_several_frames_the_first_is_given(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    middle = array(opened(content))[4, 4]
    assert np.abs(middle - [255, 0, 0]).max() <= (3 if format in ("AVIF", "HEIF") else 0)


def test_of_two_pictures_of_a_phone_the_first_is_given() -> None:
    content = encoded(drawn(), "MPO", save_all=True, append_images=[drawn(8, 8)])
    assert opened(content).size == (40, 30)


def test_png_bytes_decode_to_the_same_picture() -> None:
    for mode in ("L", "RGB"):
        found = opened(images.to_png(drawn(mode=mode)))
        assert (found.mode, found.tobytes()) == (mode, drawn(mode=mode).tobytes())


def test_headers_tell_size_and_grey(tmp_path: Path) -> None:
    cases = [("L", True), ("RGB", False), ("1", True), ("LA", True), ("P", False)]
    for mode, grey in cases:
        path = tmp_path / f"{mode}.png"
        path.write_bytes(encoded(drawn(mode=mode), "PNG"))
        assert images.header(path) == (30, 40, grey)
    path.write_bytes(b"no picture")
    assert images.header(path) is None
    assert images.header(tmp_path / "absent.png") is None


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    header = struct.pack(">IIBBBBB", 13000, 13000, 1, 0, 0, 0, 0)
    bomb = png(header, b"")  # no pixels at all, so that decoding it would fail otherwise
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(PictureError, match="13000 x 13000 pixels, more than 50000000"):
            opened(bomb)
    assert seen == []
    with pytest.raises(PictureError, match=r"truncated|damaged"):
        opened(bomb, max_pixels=13000 * 13000)
    with pytest.raises(PictureError, match="30000 x 30000 pixels, more than 50000000 are refused"):
        opened(png(struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0), b""))


def test_the_limit_of_pixels_is_inclusive() -> None:
    content = encoded(drawn(10, 10), "PNG")
    assert opened(content, max_pixels=100).size == (10, 10)
    with pytest.raises(PictureError, match="10 x 10 pixels, more than 99"):
        opened(content, max_pixels=99)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe, folder, empty = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.jpg"
    os.mkfifo(pipe)
    folder.mkdir()
    empty.touch()
    reasons = {
        pipe: "not a regular file",
        folder: "not a regular file",
        Path("/dev/zero"): "not a regular file",
        empty: "empty file",
        tmp_path / "absent.jpg": "cannot be read: No such file or directory",
        tmp_path / "a\0b.jpg": "damaged: embedded null byte",
    }
    for path, reason in reasons.items():
        with pytest.raises(PictureError) as caught:
            opened(path)
        assert (caught.value.path, caught.value.reason) == (str(path), reason)
        assert str(caught.value) == f"{path}: {reason}"
        assert isinstance(caught.value, DataError)


def test_bytes_are_called_by_the_name_given() -> None:
    with pytest.raises(PictureError, match=r"^upload 3: empty file$"):
        opened(b"", name="upload 3")
    with pytest.raises(PictureError, match=r"^picture: not a picture.*JPEG, PNG, WEBP, GIF"):
        opened(b"none at all")


@pytest.mark.parametrize(
    ("content", "called"),
    [
        (b"<svg></svg>", "an SVG drawing"),
        (b'<?xml version="1.0"?>\n<svg/>', "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"\0\0\0\x14ftypqt  " + bytes(20), "a video"),
        (b"PK\x03\x04", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(content: bytes, called: str) -> None:
    with pytest.raises(PictureError, match=f"^picture: {called}.*: not read, convert it"):
        opened(content)


def test_formats_that_are_not_listed_are_refused() -> None:
    for format, mode in (("XBM", "1"), ("SPIDER", "F"), ("PALM", "1")):
        with pytest.raises(PictureError, match="not a picture"):
            opened(encoded(drawn(32, 32, mode), format))


def test_a_tga_is_known_by_its_end_or_its_ending_and_by_nothing_else() -> None:
    content = encoded(drawn(), "TGA")
    assert opened(content).size == (40, 30)
    older = content.removesuffix(bytes(8) + b"TRUEVISION-XFILE.\0")
    assert opened(older, name="a.TGA").size == (40, 30)
    with pytest.raises(PictureError, match="not a picture"):
        opened(older, name="a.png")


@pytest.mark.parametrize(
    ("main", "others", "is_heic"),
    [
        (b"heic", b"mif1heic", True),
        (b"mif1", b"mif1heicmiaf", True),
        (b"mif1", b"mif1avifmiaf", False),
        (b"avif", b"avifmif1miaf", False),
    ],
)
def test_heic_without_its_decoder_names_what_to_install(
    main: bytes, others: bytes, is_heic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    content = struct.pack(">I", 16 + len(others)) + b"ftyp" + main + bytes(4) + others
    with pytest.raises(PictureError) as caught:
        opened(content)
    assert ("pip install pillow-heif" in caught.value.reason) == is_heic
    assert ("Truncated data" in caught.value.reason) != is_heic


def test_a_format_that_this_pillow_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(drawn(), "AVIF")
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(PictureError, match="AVIF is not read by this Pillow: pip install"):
        opened(content)


@pytest.mark.parametrize("kind", ["u", "f"])
def test_white_at_zero_is_white(kind: str) -> None:
    values = np.array([[[0], [65535]], [[257], [257 * 200]]])
    content = tiff(
        values.astype({"u": np.uint16, "f": np.float32}[kind]),
        photometric=0,
        bits=16 if kind == "u" else 32,
    )
    assert array(opened(content)).tolist() == [[255, 0], [254, 55]]
    with Image.open(io.BytesIO(content)) as lazy:
        assert array(images.upright(lazy)).tolist() == [[255, 0], [254, 55]]


def test_twelve_bits_are_scaled_to_their_own_white() -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64, 1)
    found = opened(tiff(values, photometric=1, bits=12))
    assert array(found).tolist() == np.round(values[:, :, 0] * (255 / 4095)).astype(int).tolist()


@pytest.mark.parametrize(
    ("bands", "kind", "order", "photometric", "said"),
    [
        (12, np.uint16, "<", 1, "12 bands of 16-bit whole numbers"),
        (12, np.uint8, ">", 1, "12 bands of 8-bit whole numbers"),
        (3, np.float32, "<", 2, "3 bands of 32-bit floats"),
        (2, np.int16, ">", 1, "2 bands of 16-bit signed whole numbers"),
        (1, np.float64, "<", 1, "1 band of 64-bit floats"),
        (1, np.uint16, ">", 0, "1 band of 16-bit whole numbers, white at 0"),
    ],
)
def test_a_tiff_that_cannot_be_read_says_what_it_is(
    bands: int, kind: Any, order: str, photometric: int, said: str
) -> None:
    pixels = np.zeros((4, 5, bands), kind)
    content = tiff(pixels, photometric=photometric, bits=8 * pixels.itemsize, order=order)
    with pytest.raises(PictureError) as caught:
        opened(content)
    assert caught.value.reason == f"a TIFF of {said}, which Pillow does not read: convert it"


def test_of_an_icon_the_largest_is_given_if_it_is_within_the_limit() -> None:
    inside = encoded(drawn(400, 400), "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    icon = struct.pack("<HHH", 0, 1, 1) + entry + inside
    assert opened(icon).size == (400, 400)
    windows = encoded(drawn(32, 32), "ICO", sizes=[(32, 32), (16, 16)], bitmap_format="bmp")
    assert array(opened(windows)).tolist() == array(drawn(32, 32)).tolist()
    with pytest.raises(PictureError, match="400 x 400 pixels, more than 1000"):
        opened(icon, max_pixels=1000)


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    least=st.integers(1, 120),
    most=st.integers(1, 90_000),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_jpeg_beyond_the_limit_is_scaled_where_that_is_enough(
    width: int, height: int, least: int, most: int, mode: str
) -> None:
    content = encoded(Image.new(mode, (width, height)), "JPEG")
    sizes = {f: (-(-height // f), -(-width // f)) for f in (1, 2, 4, 8)}
    good = [
        size
        for f, size in sizes.items()
        if size[0] * size[1] <= most and (f == 1 or min(size) >= least)
    ]
    if good:
        assert images.decode(content, max_pixels=most, least=least).shape[:2] in good
    else:
        with pytest.raises(PictureError, match=f"{width} x {height} pixels, more than {most} are"):
            images.decode(content, max_pixels=most, least=least)
    if width * height > most:  # whole, or not at all
        with pytest.raises(PictureError, match="pixels, more than"):
            images.decode(content, max_pixels=most)


@pytest.mark.parametrize("format", images.FORMATS)
def test_a_truncated_file_is_refused_or_whole(format: str) -> None:
    content = encoded(drawn(), format, **ENCODERS[format])
    whole = array(opened(content, name=named(format))).tolist()
    refused = 0
    for length in sorted({*range(1, len(content), 37), *range(len(content) - 8, len(content))}):
        error = refusal(content[:length], named(format))
        refused += error is not None
        # Without its end marker a file may still hold every pixel.
        assert error or array(opened(content[:length], name=named(format))).tolist() == whole
    assert refused > len(range(1, len(content) - 12, 37)) * 0.9  # 12: a PNG's end marker
    with pytest.raises(PictureError):
        opened(content[: len(content) // 2], name=named(format))


@pytest.mark.parametrize("format", images.FORMATS)
def test_a_changed_file_is_a_picture_or_a_picture_error(format: str) -> None:
    content = encoded(drawn(20, 15), format, **ENCODERS[format])
    chance = random.Random(format)
    for _ in range(150):
        changed = bytearray(content)
        for _ in range(chance.choice([1, 1, 3, 20])):
            # Half of the changes are in the header, where they matter most.
            end = chance.choice([len(changed), min(64, len(changed))])
            changed[chance.randrange(end)] = chance.randrange(256)
        error = refusal(bytes(changed), named(format))
        assert error is None or (error.path == named(format) and error.reason.isprintable())


def test_warnings_return_after_many_threads_have_decoded() -> None:
    before = list(warnings.filters)
    broken = encoded(drawn(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    threads = [
        threading.Thread(target=lambda: [opened(broken) for _ in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_a_decoded_picture_carries_nothing_of_its_file() -> None:
    exif = Image.Exif()
    exif[274] = 6
    found = opened(encoded(drawn(), "PNG", exif=exif))
    assert found.info == {}
    assert ImageOps.exif_transpose(found).size == found.size


class Broken(Image.Image):
    """A picture of which loading fails, as a plug-in's might."""

    def load(self) -> Any:
        raise RuntimeError("one\ntwo \x1b[31m")


def test_a_reason_is_one_printable_line() -> None:
    image = Broken()
    image._size = (2, 2)
    with pytest.raises(PictureError) as caught:
        images.upright(image, name="a.jpg")
    assert str(caught.value) == "a.jpg: damaged: one two ?[31m"
