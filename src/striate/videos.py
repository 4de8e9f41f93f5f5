"""Files -> frames of clips: the one place that decodes a video or an animation."""

import contextlib
import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.errors import UsageError
from striate.images import MAX_PIXELS, PictureError, Stored, eight_bit, opened

# Decoded by Pillow; the others by PyAV, which stands on FFmpeg.
ANIMATIONS = frozenset({".gif", ".webp", ".apng"})
VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})
SUFFIXES = ANIMATIONS | VIDEOS
MAX_FRAMES = 100_000  # an hour at 25 a second


class Header(NamedTuple):
    """What a file says of itself."""

    frames: int
    height: int  # pixels
    width: int


def is_animated(source: Path | Stored) -> bool:
    """Tell by its header whether a picture's file has more than one frame."""
    try:
        with opened(source, str(source)) as handle, Image.open(handle) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow's parsers raise anything on hostile bytes
        return False


def places(count: int, wanted: int) -> list[int]:
    """Spread `wanted` frames evenly over `count`: the middles of as many equal stretches.

    >>> places(16, 4), places(9, 1), places(2, 4)
    ([2, 6, 10, 14], [4], [0, 0, 1, 1])
    """
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def decode(
    source: Path | bytes | Stored, *, frames: int, max_pixels: int = MAX_PIXELS
) -> list[NDArray[np.uint8]]:
    """Return frames spread evenly over a clip, each uint8 (H, W) or (H, W, 3).

    Each is copied before the next is decoded, so that a long video needs the memory of `frames`
    pictures. Every failure is one PictureError, but for a missing decoder, a UsageError.
    """
    with _reading(source) as (handle, name):
        if _is_animation(handle):
            return _of_animation(handle, frames, max_pixels, name)
        return _of_video(handle, frames, max_pixels, name)


def header(source: Path | bytes | Stored) -> Header:
    """Return the number and size of a clip's frames, as cheaply as its format allows."""
    with _reading(source) as (handle, name):
        if _is_animation(handle):
            with Image.open(handle) as image:
                return Header(getattr(image, "n_frames", 1), image.height, image.width)
        with _av().open(handle) as container:
            stream = _stream(container, name)
            return Header(_packets(container), stream.height, stream.width)


def _is_animation(handle: IO[bytes]) -> bool:
    head = handle.read(12)
    handle.seek(0)
    return head[:4] in (b"GIF8", b"\x89PNG") or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def _of_animation(
    handle: IO[bytes], frames: int, max_pixels: int, name: str
) -> list[NDArray[np.uint8]]:
    with Image.open(handle, formats=("GIF", "WEBP", "PNG")) as image:
        count = getattr(image, "n_frames", 1)
        _check(count, image.height, image.width, max_pixels, name)
        found = []
        for place in places(count, frames):
            _seek(image, place)
            found.append(np.array(eight_bit(image.convert("RGB") if image.mode == "P" else image)))
        return found


def _seek(image: Any, place: int) -> None:
    """Go to a frame of an animation, by all before it, and load it."""
    for number in range(image.tell(), place + 1):
        image.seek(number)
        image.load()
        # Of a GIF that begins in grey, Pillow 13 reads the next frame's colours by no palette.
        if image.format == "GIF" and image.mode == "L":
            image.im, image._mode = image.im.convert("RGB"), "RGB"


def _of_video(
    handle: IO[bytes], frames: int, max_pixels: int, name: str
) -> list[NDArray[np.uint8]]:
    with _av().open(handle) as container:
        stream = _stream(container, name)
        _check(count := _packets(container), stream.height, stream.width, max_pixels, name)
    while True:
        wanted = places(count, frames)
        handle.seek(0)
        found, seen = _frames(handle, wanted)
        if len(found) == len(set(wanted)):
            return [found[place] for place in wanted]
        # Fewer frames than packets: hidden ones, or damage. Those there are have the last word.
        _check(seen, stream.height, stream.width, max_pixels, name)
        count = seen


def _frames(handle: IO[bytes], wanted: list[int]) -> tuple[dict[int, NDArray[np.uint8]], int]:
    """Return the frames at these places, as RGB, and how many were decoded for them."""
    found: dict[int, NDArray[np.uint8]] = {}
    seen = 0
    with _av().open(handle) as container:
        for frame in container.decode(video=0):
            if seen in wanted:
                found[seen] = frame.to_ndarray(format="rgb24")
            seen += 1
            if seen > wanted[-1]:
                break
    return found, seen


def _packets(container: Any) -> int:
    """Count a video's packets, of which each has a frame as a rule, without decoding them."""
    sizes = (packet.size for packet in container.demux(video=0))
    return sum(1 for size in itertools.islice(sizes, MAX_FRAMES + 2) if size)


def _stream(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise PictureError(name, "no moving pictures in it")
    return container.streams.video[0]


def _check(count: int, height: int, width: int, max_pixels: int, name: str) -> None:
    if not count or height < 1 or width < 1:
        raise PictureError(name, f"{count} frames of {width} x {height} pixels: nothing to see")
    if height * width > max_pixels:
        raise PictureError(name, f"{width} x {height} pixels, more than {max_pixels} are refused")
    if count > MAX_FRAMES:
        raise PictureError(name, f"more than {MAX_FRAMES} frames are refused")


def require_decoder() -> None:
    """Raise UsageError where there is no decoder of video files."""
    if importlib.util.find_spec("av") is None:
        raise UsageError("video files are decoded by PyAV, which is missing: pip install av")


def _av() -> Any:
    require_decoder()
    import av

    return av


@contextlib.contextmanager
def _reading(source: Path | bytes | Stored) -> Iterator[tuple[IO[bytes], str]]:
    name = "clip" if isinstance(source, bytes) else str(source)
    try:
        with opened(source, name) as handle:
            yield handle, name
    except (PictureError, UsageError):
        raise
    # As with pictures: parsers of hostile bytes raise a dozen unrelated kinds.
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(name, f"no clip, or a damaged one: {said[:200]}") from error
