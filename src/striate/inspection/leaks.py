"""Pictures of the test that the network has seen in training, or nearly."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from striate.wording import counted, percent

from . import duplicates
from .fingerprints import Fingerprints

# Pairs of pictures up to which the search for near-copies takes a minute; above, exact ones only.
MOST_PAIRS = 5_000_000_000
# Share of a split from which near-copies are worth a word: some are other pictures after all.
LEAST_SHARE = 0.001


class Copy(NamedTuple):
    """A picture that is also among those trained on."""

    row: int  # in its own split
    other: int  # in the training split
    near: bool  # not identical: re-encoded, resized, mirrored


@dataclass(frozen=True)
class Leak:
    """How many pictures of a split have a copy in the training split, and one such pair."""

    split: str
    copies: int
    near: int  # of the copies, those that are not identical
    pictures: int  # of the split; or sounds, or clips
    example: tuple[str, str]  # the picture's name, and that of its copy in training

    def line(self) -> str:
        """Say it in one line."""
        return leak_line(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the document that runs and `--json` hold."""
        return {**asdict(self), "example": list(self.example)}


def leak_line(leak: Mapping[str, Any]) -> str:
    """Say in one line what a run has recorded of a leak."""
    one, other = leak["example"]
    return (
        f"leak: {leak['copies']:,} of {counted(leak['pictures'], leak['split'] + ' pictures')} "
        f"({percent(leak['copies'] / leak['pictures'])}) with a "
        f"{copies_of(leak['copies'], leak.get('near', 0))} in train, which makes their accuracy "
        f"too high: {one} is {other}"
    )


def copies_of(count: int, near: int) -> str:
    """Name what several pictures have one of, each.

    >>> copies_of(3, 0), copies_of(3, 3), copies_of(3, 1)
    ('copy', 'near-copy', 'copy (1 of them a near-copy)')
    """
    if near in (0, count):
        return "near-copy" if near else "copy"
    return f"copy ({near:,} of them {'a near-copy' if near == 1 else 'near-copies'})"


def matters(copies: int, near: int, pictures: int) -> bool:
    """Tell whether copies are worth a word: any that is identical, or a share of near ones."""
    return copies > near or near >= LEAST_SHARE * pictures > 0


def leaks(
    parts: Mapping[str, Fingerprints], *, poll: Callable[[], None] = lambda: None
) -> list[Leak]:
    """Look for copies of the other splits' pictures in training, as the network gets them.

    Exact ones; of pictures from 16 pixels on re-encoded, resized, and mirrored ones.
    """
    if "train" not in parts:
        return []
    train = parts["train"]
    found = []
    for name in ("validation", "test"):
        if name not in parts:
            continue
        part = parts[name]
        copies = find_copies(part, train, poll=poll)
        near = sum(copy.near for copy in copies)
        if matters(len(copies), near, len(part.digests)):
            row, other, _ = copies[0]
            example = (part.names[row], train.names[other])
            found.append(Leak(name, len(copies), near, len(part.digests), example))
    return found


def find_copies(
    part: Fingerprints, train: Fingerprints, *, poll: Callable[[], None] = lambda: None
) -> list[Copy]:
    """Find the pictures of a split that are in training too, each once: the identical ones first.

    Grey pictures are not compared mirrored: letters and digits are others then.
    """
    exact = {digest: row for row, digest in enumerate(train.digests)}
    copies = {
        row: Copy(row, exact[digest], near=False)
        for row, digest in enumerate(part.digests)
        if digest in exact
    }
    these, those = part.thumbs, train.thumbs
    if these and those and len(part.digests) * len(train.digests) <= MOST_PAIRS:
        mirrored = bool((these.colours != these.colours[:, :1]).any())
        for pair in duplicates.near(these, those, mirrored=mirrored, poll=poll):
            copies.setdefault(pair.first, Copy(pair.first, pair.second, near=True))
    return list(copies.values())
