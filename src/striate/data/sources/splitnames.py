"""Which names speak of a split: train_images, TestSet, dogs_val."""

import re
from collections.abc import Sequence

from striate.data.splits import split_name

# What stands beside a split's word in a folder's name: train_images, TrainSet, x-test-224.
_BESIDE = frozenset(
    {
        *("data", "dataset", "set", "images", "image", "imgs", "img", "pictures", "pics", "photos"),
        *("samples", "examples", "files", "folder", "dir", "split", "all", "full", "small", "x"),
        *("new", "raw", "clean", "resized", "cropped", "augmented", "aug", "final", "my", "the"),
    }
)
_WORDS = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Names of parts of one data set, which are no classes.
PART = re.compile(r"(cv|folds?|parts?|splits?|batch|subset|chunk)[ _.-]?\d+", re.IGNORECASE)


def marked(names: Sequence[str]) -> dict[str, str]:
    """Return the folders that are named like splits of one data set: train_images, test_images."""
    found = {name: alike for name in names if (alike := like_split(name))}
    rests = {rest for _, rest in found.values()}
    return {name: split for name, (split, rest) in found.items() if len(rests) == 1 or not rest}


def like_split(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the one split that a name speaks of, and its words that are not usual beside it."""
    words = [word.lower() for word in _WORDS.findall(_HUMP.sub(" ", name))]
    splits = {split for word in words if (split := _split_word(word))}
    rest = tuple(word for word in words if not _split_word(word) and word not in _BESIDE)
    return (splits.pop(), rest) if len(splits) == 1 else None


def _split_word(word: str) -> str | None:
    ends = ("", "set", "data", "images", "imgs")
    bare = (word.removesuffix(end) for end in ends if word.endswith(end))
    return next((split for one in bare if (split := split_name(one))), None)


def says_nothing(name: str) -> bool:
    """Tell whether a name has only words that usually stand beside a split's."""
    words = {word.lower() for word in _WORDS.findall(name)}
    return bool(words) and words <= _BESIDE
