"""Which files are pictures, sounds or clips, by their names; no torch is loaded for it."""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from striate import images, sounds, videos

# Endings of the files of each kind, in lower case.
SUFFIXES: dict[str, frozenset[str]] = {
    "pictures": images.SUFFIXES,
    "sounds": sounds.SUFFIXES,
    "clips": videos.SUFFIXES,
}
# Files by which the kind of a folder is told.
LOOKED_AT = 1000
_OPENED = 16  # of those that may be pictures or clips


def is_of(kind: str, path: Any) -> bool:
    """Tell by its name whether a file should be a picture, a sound, or a clip."""
    return is_named(kind, path.name)


def is_named(kind: str, name: str) -> bool:
    """Tell by a file's name whether it should be a picture, a sound, or a clip."""
    stem, _, ending = name.rpartition(".")
    return f".{ending.lower()}" in SUFFIXES[kind] and stem != "" and stem[0] != "."


def is_example(path: Any) -> bool:
    """Tell by its name whether a file may be of any kind."""
    return any(is_of(kind, path) for kind in SUFFIXES)


def may_be_example(path: Any) -> bool:
    """Tell by its name whether a file is of some kind, readable or not."""
    return is_example(path) or path.suffix.lower() in images.KNOWN


def recognised(files: Iterable[Any]) -> str:
    """Tell what files are, by most of the first 1,000; GIFs that all move are clips.

    Pictures that cannot be read are pictures all the same, and the film that a phone writes beside
    a photograph, under its name, tells nothing.
    """
    seen = list(itertools.islice(files, LOOKED_AT))
    kinds = [_kind(path) for path in seen]
    photographs = {
        _stem(path) for path, kind in zip(seen, kinds, strict=True) if kind == "pictures"
    }
    count = Counter(
        kind
        for path, kind in zip(seen, kinds, strict=True)
        if path.suffix.lower() != ".mov" or _stem(path) not in photographs
    )
    kind = max(SUFFIXES, key=lambda name: count[name])  # the first where none has more
    if kind == "pictures" and all(_may_move(path) for path in seen):
        chosen = seen[:: -(-len(seen) // _OPENED) or 1]
        return "clips" if chosen and all(map(videos.is_animated, chosen)) else kind
    return kind


def _kind(path: Any) -> str:
    known = next((kind for kind in SUFFIXES if is_of(kind, path)), "")
    return known or ("pictures" if path.suffix.lower() in images.KNOWN else "")


def _stem(path: Any) -> str:
    return str(path).removesuffix(path.suffix)


def _may_move(path: Any) -> bool:
    return path.suffix.lower() in videos.ANIMATIONS
