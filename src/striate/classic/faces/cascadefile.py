"""The cascade's file: a sealed JSON document of numbers, checked as it is read."""

import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

from striate import files
from striate.errors import DataError
from striate.version import __version__

from .cascade import Cascade, Stage
from .haar import KINDS, Feature, fits

FORMAT = "striate cascade 1"
SHIPPED = "viola-jones.json"
SIDES = (2, 256)  # of a window, in pixels
MOST_BYTES = 50_000_000
_NUMBERS = ("left", "top", "width", "height")


def save(path: Path, cascade: Cascade) -> None:
    """Write a cascade durably."""
    document = {
        "format": FORMAT,
        "striate": __version__,
        "window": list(cascade.window),
        **cascade.record,
        "stages": [_stage_document(stage) for stage in cascade.stages],
    }
    files.write(path, files.json_bytes(files.sealed(document, {})))


def load(path: Path) -> Cascade:
    """Read a cascade; a damaged one is a DataError that names the file."""
    if not path.exists():
        raise DataError(f"there is no {path}")
    if not path.is_file():
        raise DataError(f"{path} is no cascade: not a regular file")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} is no cascade: larger than {MOST_BYTES // 1_000_000} MB")
    document, _ = files.read_sealed(path.parent, path.name)
    if document.get("format") != FORMAT:
        raise DataError(f"{path} is no cascade that this version reads: {FORMAT}")
    try:
        return _read(document)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def shipped() -> Cascade:
    """Return the cascade that comes with the package."""
    with resources.as_file(resources.files("striate.classic.faces") / SHIPPED) as path:
        return load(path)


def _stage_document(stage: Stage) -> dict[str, Any]:
    stumps = zip(stage.features, stage.thresholds, stage.votes, strict=True)
    return {
        "threshold": stage.threshold,
        **stage.record,
        "stumps": [
            {**feature._asdict(), "threshold": threshold, "vote": vote}
            for feature, threshold, vote in stumps
        ],
    }


def _read(document: dict[str, Any]) -> Cascade:
    window = document.pop("window")
    sides = isinstance(window, list) and len(window) == 2 and all(_is_side(s) for s in window)
    if not sides:
        raise ValueError(f"window is (height, width) of {SIDES[0]} to {SIDES[1]} pixels")
    stages = document.pop("stages")
    if not isinstance(stages, list) or not stages:
        raise ValueError("it has no stages")
    read = tuple(_stage(one, window, number) for number, one in enumerate(stages, 1))
    record = {key: value for key, value in document.items() if key not in ("format", "striate")}
    return Cascade((window[0], window[1]), read, record)


def _is_side(given: object) -> bool:
    return type(given) is int and SIDES[0] <= given <= SIDES[1]


def _stage(document: dict[str, Any], window: list[int], number: int) -> Stage:
    stumps = document.pop("stumps")
    if not isinstance(stumps, list) or not stumps:
        raise ValueError(f"stage {number} has no stumps")
    threshold = _number(document.pop("threshold"))
    features = tuple(_feature(stump, window) for stump in stumps)
    thresholds, votes = (
        tuple(_number(stump[name]) for stump in stumps) for name in ("threshold", "vote")
    )
    return Stage(features, thresholds, votes, threshold, document)


def _feature(stump: dict[str, Any], window: list[int]) -> Feature:
    kind, numbers = stump["kind"], [stump[name] for name in _NUMBERS]
    if kind not in KINDS or not all(type(number) is int for number in numbers):
        raise ValueError(f"{json.dumps(stump)[:200]} is no feature")
    feature = Feature(kind, *numbers)
    if min(feature.width, feature.height) < 1 or not fits(feature, window[1], window[0]):
        raise ValueError(f"{json.dumps(stump)[:200]} does not fit in the window")
    return feature


def _number(given: object) -> float:
    if type(given) not in (int, float) or not math.isfinite(given):  # type: ignore[arg-type]
        raise ValueError(f"{given!r} is no number")
    return float(given)  # type: ignore[arg-type]
