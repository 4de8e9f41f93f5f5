"""What an exported file says of itself: classes, preprocessing, licence; written, and checked."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate import images, sounds, videos
from striate.errors import DataError, UsageError
from striate.images.fitting import FILTERS, FITS, Fitting, fitted

KEY = "striate"  # of the document in a file's metadata
FORMAT = 1
MOST_PIXELS = 10_000_000_000  # that a document may allow a picture to have
_LONGEST = 10_000_000  # samples of a sound
_MOST_FRAMES = 10_000

Array = NDArray[Any]


class Input(NamedTuple):
    """How examples are brought to what a file takes; what is left is inside the file."""

    kind: str  # pictures, sounds or clips; the name of the file's input as well
    shape: tuple[int, ...]  # of an example: (H, W, C), of clips (T, H, W, C), of sounds (samples,)
    dtype: str
    pixels: Callable[[Any], Array]
    allowance: float = 1.0  # of memory and time to decode an example


class Document(NamedTuple):
    """What stands in the metadata of an exported file, as one JSON text under the key `striate`."""

    kind: str
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]  # as in model.json; its normalisation is inside the file
    model: str  # the architecture's name
    striate: str  # the version that wrote it
    sizing: str  # how an example is brought to the input, for people
    quantized: str | None = None  # int8
    temperature: float = 1.0  # by which the logits were divided, inside the file
    license: str | None = None  # of the network, in its maker's word
    pretrained: str | None = None  # whose weights the training began with

    def to_text(self) -> str:
        """Return the document as JSON, which every runtime hands over as it is."""
        return json.dumps({"format": FORMAT, **self._asdict()}, allow_nan=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` gave; DataError for anything else."""
        try:
            fields = json.loads(text)
            if fields.pop("format") != FORMAT:
                raise DataError("a newer striate wrote it")
            document = cls(**{**fields, "classes": tuple(fields["classes"])})
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise DataError(f"its document is damaged: {error}") from error
        _check(document)
        return document

    def input(self, max_pixels: int | None = None) -> Input:
        """Return how examples are brought to the file's input; `max_pixels` for another limit."""
        try:
            return _INPUTS[self.kind](self.preprocessing, max_pixels)
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"its preprocessing is damaged: {error}") from error


def _check(document: Document) -> None:
    texts = (*document.classes, document.kind, document.model, document.striate, document.sizing)
    optional = (document.quantized, document.license, document.pretrained)
    whole = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(text, str | None) for text in optional)
        and isinstance(document.preprocessing, dict)
        and type(document.temperature) in (int, float)
        and math.isfinite(document.temperature)
        and document.temperature > 0
    )
    if not (whole and document.classes and len({*document.classes}) == len(document.classes)):
        raise DataError("its document is damaged: a field is missing or of another type")
    if document.kind not in _INPUTS:
        raise DataError(f"it takes {document.kind}: a newer striate wrote it")


def _pictures(fields: Mapping[str, Any], max_pixels: int | None) -> Input:
    given, most = _fitting(fields, max_pixels)

    def pixels(picture: Any) -> Array:
        return fitted(_decoded(picture, most, given.least), given)

    more = max(1.0, most / images.MAX_PIXELS)
    return Input("pictures", (*given.size, given.channels), "uint8", pixels, more)


def _sounds(fields: Mapping[str, Any], max_pixels: int | None) -> Input:
    if max_pixels is not None:
        raise UsageError("--max-megapixels is for pictures and clips, not sounds")
    rate = _whole(fields["rate"], 1_000_000)
    length = _whole(fields["length"], _LONGEST)

    def pixels(sound: Any) -> Array:
        if isinstance(sound, sounds.Sound):
            samples = sounds.waveform(sound, rate=rate)
        else:
            samples = sounds.decode(_of_file(sound, "sound"), rate=rate)
        return sounds.placed(samples, length)

    return Input("sounds", (length,), "int16", pixels)


def _clips(fields: Mapping[str, Any], max_pixels: int | None) -> Input:
    frames = _whole(fields["frames"], _MOST_FRAMES)
    given, most = _fitting(fields["picture"], max_pixels)

    def pixels(clip: Any) -> Array:
        if isinstance(clip, np.ndarray):
            found = [clip[place] for place in videos.places(len(clip), frames)]
        else:
            found = videos.decode(_of_file(clip, "clip"), frames=frames, max_pixels=most)
        each = [fitted(np.ascontiguousarray(frame), given) for frame in found]
        return np.stack(each) if frames > 1 else each[0]

    time = (frames,) if frames > 1 else ()
    more = max(1.0, most / images.MAX_PIXELS)
    return Input("clips", (*time, *given.size, given.channels), "uint8", pixels, more)


_INPUTS: dict[str, Callable[[Mapping[str, Any], int | None], Input]] = {
    "pictures": _pictures,
    "sounds": _sounds,
    "clips": _clips,
}


def _fitting(fields: Mapping[str, Any], max_pixels: int | None) -> tuple[Fitting, int]:
    height, width = (_whole(side, MOST_PIXELS) for side in fields["size"])
    own = _whole(fields["max_pixels"], MOST_PIXELS)
    share, fit, filter = fields["share"], fields["fit"], fields["filter"]
    if height * width > own:
        raise ValueError(f"{height} x {width} pixels are more than {own}")
    if fields["channels"] not in (1, 3) or fit not in FITS or filter not in FILTERS:
        raise ValueError("its channels, fit or filter are unknown")
    if type(share) not in (int, float) or not 0 < share <= 1:
        raise ValueError(f"share is {share!r}")
    given = Fitting((height, width), int(fields["channels"]), fit, float(share), filter)
    return given, max_pixels or own


def _whole(number: Any, most: int) -> int:
    if type(number) is not int or not 1 <= number <= most:
        raise ValueError(f"{number!r} is no whole number from 1 to {most:,}")
    return number


def _decoded(picture: Any, max_pixels: int, least: int) -> NDArray[np.uint8]:
    if isinstance(picture, Image.Image):
        return np.array(images.upright(picture, max_pixels=max_pixels))
    if isinstance(picture, np.ndarray):
        return images.from_array(picture)
    try:
        source = _of_file(picture, "picture")
        return images.decode(source, max_pixels=max_pixels, least=least)
    except images.TooLargeError as error:
        reason = f"{error.reason} (--max-megapixels sets the limit)"
        raise images.TooLargeError(error.path, reason) from error


def _of_file(given: Any, kind: str) -> Path | bytes | images.Stored:
    if isinstance(given, Path | bytes | images.Stored):
        return given
    raise UsageError(
        f"a {type(given).__name__} is no {kind} here: give a Path, the bytes of a file, or a "
        "NumPy array"
    )
