"""Files <-> pictures: the one place that decodes a picture."""

import contextlib
import io
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from striate.errors import DataError

# Pillow's "JPEG" also gives the first frame of MPO, which phones write.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "bmp", "dib"),
        *("tif", "tiff", "ppm", "pgm", "pbm", "pnm"),
    )
)
# Endings of files that people would call pictures too; those above are read.
KNOWN = SUFFIXES | frozenset(
    f".{suffix}"
    for suffix in (
        *("heic", "heif", "heics", "hif", "avif", "avifs", "jp2", "j2k", "j2c", "jpc", "jpf"),
        *("jpx", "jxl", "jxr", "hdp", "wdp", "bpg", "flif", "qoi", "tga", "icns", "ico", "cur"),
        *("sgi", "rgb", "rgba", "bw", "pcx", "dcx", "psd", "psb", "xcf", "kra", "dds", "pict"),
        *("pct", "xbm", "xpm", "wbmp", "pam", "pfm", "exr", "hdr", "fit", "fits", "dcm", "svg"),
        *("svgz", "eps", "ai", "cdr", "emf", "wmf", "djvu", "ras", "sun", "im", "msp", "iff"),
        # Raw files of cameras.
        *("3fr", "ari", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "gpr", "iiq", "kdc"),
        *("mef", "mos", "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2"),
        *("srf", "srw", "x3f"),
    )
)
MAX_PIXELS = 50_000_000

# What undoes each value of EXIF's Orientation tag (EXIF 2.32, section 4.6.4).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_COLOURS = ("RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "P")
_GREYS = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@runtime_checkable
class Stored(Protocol):
    """A picture's file inside something else, an archive say; `str` gives its name."""

    def read(self) -> bytes:
        """Give the bytes of the file, or raise PictureError."""


class PictureError(DataError):
    """A picture that cannot be used: `path` says which, `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def is_picture(path: Any) -> bool:
    """Tell by its name whether a file should be a picture; hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def decode(
    source: Path | bytes | Stored,
    *,
    max_pixels: int = MAX_PIXELS,
    least: int | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Give the first frame of a file, or of its bytes, upright: (H, W) grey or (H, W, 3) RGB.

    Transparent and deep pixels become what `eight_bit` makes of them. A large JPEG may come at 1/2,
    1/4 or 1/8 of its size, both sides still at least `least` pixels, in a fraction of the time.
    Every failure is one PictureError. No pixel is decoded before the header's size is checked;
    Pillow's own limit (twice Image.MAX_IMAGE_PIXELS) stands beside `max_pixels`.
    """
    known = name or ("picture" if isinstance(source, bytes) else str(source))
    with (
        _refusing(known),
        opened(source, known) as handle,
        Image.open(handle, formats=FORMATS) as image,
    ):
        _check_size(image, max_pixels, known)
        quick = _of_jpeg(image, handle, least)
        if quick is None:
            return np.array(upright(image, max_pixels=max_pixels, name=known))
        turn = _TURNS.get(_orientation(image))
        return quick if turn is None else np.array(Image.fromarray(quick).transpose(turn))


def upright(
    image: Image.Image, *, max_pixels: int = MAX_PIXELS, name: str = "picture"
) -> Image.Image:
    """Give `eight_bit` of a picture, turned as its EXIF block asks; a broken block is ignored."""
    with _refusing(name):
        _check_size(image, max_pixels, name)
        image.load()
        turn = _TURNS.get(_orientation(image))
        picture = eight_bit(image)
        return picture if turn is None else picture.transpose(turn)


def eight_bit(image: Image.Image) -> Image.Image:
    """Give a picture of any mode as "L" or "RGB"; what is transparent becomes white.

    16-bit grey is divided by 257, so nothing is clipped. 32-bit integers and floats have no known
    white: their own smallest to largest value becomes 0 to 255, and a constant picture 0.
    """
    image.load()
    if image.mode.startswith("I;16"):
        return _from_16_bits(np.asarray(image), image.info.get("transparency"))
    if image.mode in ("I", "F"):
        # PNG and PNM have at most 16 bits, though Pillow may hold them in 32.
        sixteen = image.mode == "I" and image.format in ("PNG", "PPM")
        return _from_16_bits(np.asarray(image)) if sixteen else _stretched(np.asarray(image))
    if image.mode in ("RGBa", "La"):
        return _over_white(image.convert(image.mode.upper()))
    if image.has_transparency_data and _is_usable(image):
        return _over_white(image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA"))
    if image.mode in ("1", "L"):
        return image if image.mode == "L" else image.convert("L")
    if image.mode in _COLOURS:
        return image if image.mode == "RGB" else image.convert("RGB")
    raise ValueError(f"pixels of Pillow's mode {image.mode} are not supported")


def header(path: Path | Stored) -> tuple[int, int, bool] | None:
    """Give a file's upright height and width in pixels, and whether it is grey; None if it is bad.

    No pixel is decoded, so a file whose header is good may still be refused by `decode`.
    """
    try:
        with (
            _refusing(str(path)),
            opened(path, str(path)) as handle,
            Image.open(handle, formats=FORMATS) as image,
        ):
            # Only where it stands before the pixels; a TIFF's size is already that of the turned.
            lies = "exif" in image.info and _orientation(image) >= 5
            height, width = image.size if lies else image.size[::-1]
            return height, width, image.mode in _GREYS
    except PictureError:
        return None


def to_png(image: Image.Image) -> bytes:
    """Give a picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _of_jpeg(image: Image.Image, handle: IO[bytes], least: int | None) -> NDArray[np.uint8] | None:
    """Decode a common JPEG that Pillow has opened in half of Pillow's time; None if it is none."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB"):
        return None
    place = handle.tell()
    handle.seek(0)
    content = handle.read()
    handle.seek(place)
    side = least or 0
    wanted = "GRAY" if image.mode == "L" else "RGB"
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            content, wanted, min_height=side, min_width=side, min_factor=2 if side else 1
        )
    except ValueError:
        return None  # damaged, or of a rare coding: Pillow has the last word
    return pixels[:, :, 0] if image.mode == "L" else pixels


def _from_16_bits(values: np.ndarray, transparent: object = None) -> Image.Image:
    # 257 is odd, so no value lies half way between two.
    grey = (np.clip(values, 0, 65535).astype(np.int32) + 128) // 257
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey.astype(np.uint8))


def _stretched(values: np.ndarray) -> Image.Image:
    if not np.isfinite(values).all():
        raise ValueError("some pixels are not finite numbers")
    low, high = float(values.min()), float(values.max())
    grey = np.round((values.astype(np.float64) - low) * (255 / ((high - low) or 1.0)))
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    plain = image.convert(image.mode.removesuffix("A"))
    white = Image.new(plain.mode, image.size, "white")
    white.paste(plain, mask=image.getchannel("A"))
    return white


def _is_usable(image: Image.Image) -> bool:
    # In a 16-bit colour PNG the transparent colour has 16 bits, the pixels that Pillow gives 8.
    colour = image.info.get("transparency")
    return image.mode != "RGB" or (isinstance(colour, tuple) and max(colour) <= 255)


def _orientation(image: Image.Image) -> int:
    # A TIFF file is turned by Pillow as it loads, and says so here.
    with contextlib.suppress(Exception):  # any block at all may stand in a file; it is only a hint
        return int(image.getexif().get(ExifTags.Base.Orientation, 1)) if image.info else 1
    return 1


@contextlib.contextmanager
def opened(source: Path | bytes | Stored, name: str) -> Iterator[IO[bytes]]:
    """Open a regular file that is not empty, or bytes; PictureError for any other."""
    if not isinstance(source, Path | bytes):
        source = source.read()
    if isinstance(source, bytes):
        size = len(source)
    else:
        # Looked at before it is opened: opening a pipe waits, opening a device may act.
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(name, "not a regular file")
        size = status.st_size
    if not size:
        raise PictureError(name, "empty file")
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as handle:
        yield handle


def _check_size(image: Image.Image, max_pixels: int, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError(name, f"{width} x {height} pixels: nothing to see")
    if width * height > max_pixels:
        raise PictureError(name, f"{width} x {height} pixels, more than {max_pixels} are refused")


@contextlib.contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into one PictureError, and keep Pillow's warnings in."""
    with _QUIET:
        try:
            yield
        except DataError:
            raise
        # Pillow's parsers raise a dozen unrelated kinds on hostile bytes (OSError, SyntaxError,
        # struct.error, zlib.error, IndexError, ...), and no list of them is promised.
        except Exception as error:
            raise PictureError(name, _reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not a picture, or a damaged one: the formats are {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, MemoryError):
        return "decoding it needs too much memory"
    text = " ".join(str(error).split()) or type(error).__name__
    said = "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
    return f"truncated: {said}" if "truncated" in said.lower() else f"damaged: {said}"


class _Quiet:
    """Pillow's warnings are ignored while any thread is inside.

    `catch_warnings` restores what it found, so overlapping ones in threads would leave the
    filter behind: the first in sets it and the last out takes it away.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.caught = warnings.catch_warnings()
                self.caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.caught.__exit__(None, None, None)


_QUIET = _Quiet()
