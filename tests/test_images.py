"""Pictures of every format, mode and turn, and files that are broken or hostile."""

import io
import os
import random
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

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
    image.save(buffer, format, **options)
    return buffer.getvalue()


def refusal(content: bytes) -> PictureError | None:
    try:
        found = opened(content, max_pixels=100_000)
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
    path = tmp_path / "picture"
    path.write_bytes(content)
    found = opened(path)
    assert (found.mode, found.size) == ("RGB", (40, 30))
    # A palette and JPEG's chroma lose some; the block's border is where most is lost.
    assert np.abs(array(found) - array(drawn())).mean() < {"GIF": 20, "JPEG": 4}.get(format, 1e-9)
    assert array(opened(content)).tolist() == array(found).tolist()


def test_names_tell_pictures_from_other_files() -> None:
    names = ["a.jpg", "b.JPEG", "c.Png", "d.tif", "e.pgm", "f.webp", "g.gif", "h.bmp", "i.pnm"]
    assert all(images.is_picture(Path("folder") / name) for name in names)
    others = ["a.txt", "jpg", ".hidden.jpg", "._a.jpg", "a.jpg.part", "a.svg", "a"]
    assert not any(images.is_picture(Path("folder") / name) for name in others)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
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
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    options = {"lossless": True} if format == "WEBP" else options
    content = encoded(Image.fromarray(stored), format, exif=exif, **options)
    found = opened(content)
    assert found.size == (40, 30)
    assert np.abs(array(found) - array(drawn())).max() <= (60 if format == "JPEG" else 0)
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


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_is_given(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert array(opened(content))[4, 4].tolist() == [255, 0, 0]


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
    with pytest.raises(PictureError, match=r"too many pixels: .*900000000 pixels"):
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
        opened(b"<svg></svg>")


def test_formats_that_are_not_listed_are_refused() -> None:
    for format in ("ICO", "TGA", "PCX"):
        with pytest.raises(PictureError, match="not a picture"):
            opened(encoded(drawn(32, 32), format))


@pytest.mark.parametrize("format", images.FORMATS)
def test_a_truncated_file_is_refused_or_whole(format: str) -> None:
    content = encoded(drawn(), format, **ENCODERS[format])
    whole = array(opened(content)).tolist()
    refused = 0
    for length in sorted({*range(1, len(content), 37), *range(len(content) - 8, len(content))}):
        error = refusal(content[:length])
        refused += error is not None
        # Without its end marker a file may still hold every pixel.
        assert error or array(opened(content[:length])).tolist() == whole
    assert refused > len(range(1, len(content), 37)) * 0.9
    with pytest.raises(PictureError):
        opened(content[: len(content) // 2])


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
        error = refusal(bytes(changed))
        assert error is None or (error.path == "picture" and error.reason.isprintable())


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
