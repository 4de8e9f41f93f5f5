"""Which pictures of two runs are the same: by name, and by content where both saw them alike."""

from typing import NamedTuple

from striate.runs import folder

from .answers import Answers
from .settings import Trained

# What decides the pixels that a network gets of a picture, and so the digest of its content.
_SEEN = (
    *("size", "fit", "share", "filter", "colour", "max_megapixels"),
    *("sample_rate", "seconds", "mels", "frames"),
)


class Matched(NamedTuple):
    """The second run's answers under the names that the first run has for the same pictures."""

    answers: Answers
    moved: int  # pictures known by their content, under another name
    unlike: int  # pictures of one name that are not the same
    by_content: bool  # whether contents could be compared


def matched(first: Trained, own: Answers, second: Trained, other: Answers) -> Matched:
    """Rename the pictures of the second run as the first names them.

    A name stands for one picture in both, unless their contents say otherwise; where they are not
    comparable, as the runs saw pictures at other sizes, names alone decide.
    """
    prints = _digests(first, own), _digests(second, other)
    seen = [_seen(run) for run in (first, second)]
    if not (prints[0] and prints[1]) or seen[0] != seen[1]:
        return Matched(other, 0, 0, False)
    ours, theirs = prints
    unlike = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    free = {name: digest for name, digest in ours.items() if name not in theirs or name in unlike}
    content: dict[bytes, list[str]] = {}
    for name, digest in free.items():
        content.setdefault(digest, []).append(name)
    files, moved = [], 0
    for name in other.files:
        if name in ours and name not in unlike:
            files.append(name)
            continue
        known = content.get(theirs.get(name, b""), [])
        moved += bool(known)
        # A name that stands for another picture is none of the first run's.
        own_name = f"{second.path}: {name}" if name in unlike else name
        files.append(known.pop(0) if known else own_name)
    return Matched(other._replace(files=files), moved, len(unlike), True)


def _seen(run: Trained) -> list[object]:
    return [run.data.get("kind"), *(run.recipe.get(name) for name in _SEEN)]


def _digests(run: Trained, answers: Answers) -> dict[str, bytes]:
    """Return the digest of each picture that the run was judged on; none of an older run."""
    table = folder.read_fingerprints(run.path)
    if table is None:
        return {}
    splits = folder.read_splits(run.path)
    names = [(part, name) for part, names in splits.items() for name in names]
    digests = table["digest"].to_pylist()
    if len(names) != len(digests):
        return {}
    rows = zip(names, digests, strict=True)
    return {name: digest for (part, name), digest in rows if part == answers.split}
