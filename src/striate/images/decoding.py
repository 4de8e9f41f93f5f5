"""Files <-> pictures: the one place that decodes a picture."""

import contextlib
import io
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image

from striate.errors import DataError

from .formats import UnsupportedError, open_picture
from .levels import GREYS, eight_bit

MAX_PIXELS = 50_000_000
_JPEGS = ("JPEG", "MPO")
# The start of the commonest kind of JPEG, and kinds of its segments: those with EXIF, XMP or
# Adobe's colours, and that with pixels (ITU-T T.81, table B.1).
_JFIF = b"\xff\xd8\xff\xe0"
_TELLING, _SCAN = (0xE1, 0xEE), 0xDA

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


@runtime_checkable
class Stored(Protocol):
    """A picture's file inside something else, an archive say; `str` gives its name."""

    def read(self) -> bytes:
        """Return the bytes of the file, or raise PictureError."""


class PictureError(DataError):
    """A picture that cannot be used: `path` says which, `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class TooLargeError(PictureError):
    """A picture of more pixels than are decoded."""


def decode(
    source: Path | bytes | Stored,
    *,
    max_pixels: int = MAX_PIXELS,
    least: int | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Return the first frame of a file, or of its bytes, upright: (H, W) grey or (H, W, 3) RGB.

    Transparent and deep pixels become what `eight_bit` makes of them. With `least`, a large JPEG
    may come at 1/2, 1/4 or 1/8 of its size, both sides still at least `least` pixels: in a fraction
    of the time, and from beyond `max_pixels`. Every failure is one PictureError. No pixel is
    decoded before the header's size is checked.
    """
    known = name or ("picture" if isinstance(source, bytes) else str(source))
    with _refusing(known), opened(source, known) as handle:
        plain = _of_plain_jpeg(handle, max_pixels, least)
        return _opened(handle, known, max_pixels, least) if plain is None else plain


def _opened(handle: IO[bytes], known: str, max_pixels: int, least: int | None) -> NDArray[np.uint8]:
    with open_picture(handle, known) as image:
        factor = _factor(image, max_pixels, least, known)
        quick = _of_jpeg(image, handle, least, factor)
        if quick is None:
            if factor > 1:
                image.draft(None, (image.width // factor, image.height // factor))
            return np.array(upright(image, max_pixels=max_pixels, name=known))
        turn = _TURNS.get(_orientation(image))
        return quick if turn is None else np.array(Image.fromarray(quick).transpose(turn))


def upright(
    image: Image.Image, *, max_pixels: int = MAX_PIXELS, name: str = "picture"
) -> Image.Image:
    """Return `eight_bit` of a picture, turned as its EXIF block asks; a broken block is ignored."""
    with _refusing(name):
        _check_size(image, max_pixels, name)
        image.load()
        _check_size(image, max_pixels, name)  # an icon may hold more than it says
        turn = _TURNS.get(_orientation(image))
        picture = eight_bit(image)
        return picture if turn is None else picture.transpose(turn)


def header(path: Path | Stored) -> tuple[int, int, bool] | None:
    """Read a file's upright height and width in pixels, and whether it is grey; None if it is bad.

    No pixel is decoded, so a file whose header is good may still be refused by `decode`.
    """
    try:
        with (
            _refusing(str(path)),
            opened(path, str(path)) as handle,
            open_picture(handle, str(path)) as image,
        ):
            # Only where it stands before the pixels; a TIFF's size is already that of the turned.
            lies = "exif" in image.info and _orientation(image) >= 5
            height, width = image.size if lies else image.size[::-1]
            return height, width, image.mode in GREYS
    except PictureError:
        return None


def to_png(image: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _factor(image: Image.Image, max_pixels: int, least: int | None, name: str) -> int:
    """Compute by how much a picture is scaled down as it is decoded: 1, or 2, 4, 8 for a JPEG."""
    width, height = image.size
    if least is not None and image.format in _JPEGS and width * height > max_pixels:
        for factor in (2, 4, 8):
            sides = -(-width // factor), -(-height // factor)
            if sides[0] * sides[1] <= max_pixels and min(sides) >= least:
                return factor
    _check_size(image, max_pixels, name)
    return 1


def _of_jpeg(
    image: Image.Image, handle: IO[bytes], least: int | None, factor: int
) -> NDArray[np.uint8] | None:
    """Decode a common JPEG that Pillow has opened in half of Pillow's time; None if it is none."""
    if image.format not in _JPEGS or image.mode not in ("L", "RGB"):
        return None
    place = handle.tell()
    handle.seek(0)
    content = handle.read()
    handle.seek(place)
    return _by_turbo(content, "GRAY" if image.mode == "L" else "RGB", least, factor)


def _of_plain_jpeg(
    handle: IO[bytes], max_pixels: int, least: int | None
) -> NDArray[np.uint8] | None:
    """Decode the commonest kind of JPEG without Pillow, whose look at the header takes a third.

    None for one that may be turned, in other colours, too large, or damaged: Pillow has its say.
    """
    start = handle.read(len(_JFIF))
    content = start + handle.read() if start.startswith(_JFIF) else b""
    handle.seek(0)
    if not content or not _is_plain(content):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    if height * width > max_pixels or colours not in ("Gray", "YCbCr"):
        return None
    return _by_turbo(content, "GRAY" if colours == "Gray" else "RGB", least, 1)


def _is_plain(content: bytes) -> bool:
    """Tell whether nothing before a JPEG's pixels says how to turn it, or that it is not YCbCr."""
    place = 2
    while content[place : place + 1] == b"\xff" and len(content) > place + 3:
        kind = content[place + 1]
        if kind in _TELLING:
            return False
        if kind == _SCAN:
            return True
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return False


def _by_turbo(
    content: bytes, wanted: str, least: int | None, factor: int
) -> NDArray[np.uint8] | None:
    side = least or 0
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            content,
            wanted,
            min_height=side,
            min_width=side,
            min_factor=max(2 if side else 1, factor),
        )
    except ValueError:
        return None  # damaged, or of a rare coding: Pillow has the last word
    return pixels[:, :, 0] if wanted == "GRAY" else pixels


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
        said = f"{width} x {height} pixels, more than {max_pixels} are refused"
        raise TooLargeError(name, said)


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
    if isinstance(error, UnsupportedError):
        return str(error)
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
