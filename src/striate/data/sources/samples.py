"""Members of WebDataset's shards, grouped into samples: one picture each, and its label.

Members belong together whose paths agree up to the first dot of their last part, the key; all
after it is the ending, by which a member is told (https://github.com/webdataset/webdataset).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from striate.data.classes import canonical
from striate.errors import DataError
from striate.images import PictureError, is_picture
from striate.wording import counted, shown

from . import records
from .archives import Archive, Inside

_JSON_KEYS = ("label", "class", "cls", "category", "target")
_NUMBERS = ("cls", "class")
# Of two pictures of a sample the first is taken, by these endings; masks are mostly .png.
_FIRST = ("jpg", "jpeg", "webp", "png")
# Words of a picture's ending where several have longer ones: 0001.image.jpg and 0001.mask.png.
_PICTURES = ("image", "img", "input", "rgb", "photo", "picture")
_LONGEST_NAME = 100  # letters; a longer .txt is a caption

Group = dict[str, Inside]  # a sample's members by their endings, in small letters


class Sample(NamedTuple):
    """A picture in a shard, and the members that may say its label, by their kind."""

    picture: Inside
    labels: Mapping[str, Inside]  # json, cls, txt


class Grouped(NamedTuple):
    """The samples of a shard, and what is left out."""

    samples: list[Sample]
    further: Counter[str]  # pictures that are not the sample's own, by their endings
    strays: list[Inside]  # .json and .txt beside no picture


def grouped(opened: Archive) -> Grouped:
    """Group a shard's members; DataError where a key is not that of one sample."""
    found = Grouped([], Counter(), [])
    # The picture of a label may be among the members that were refused, with a warning.
    refused = {_key(entry.file)[0] for entry in opened.refused}
    is_cut = any(entry.file == str(opened.path) for entry in opened.refused)
    for key, group in _groups(opened).items():
        picture = _picture(group)
        if picture is None:
            if not is_cut and f"{opened.path}/{key}" not in refused:
                _refuse_label_alone(group)
            found.strays.extend(group[ending] for ending in ("json", "txt") if ending in group)
            continue
        found.samples.append(Sample(group[picture], _labels(group, picture)))
        pictures = (e for e, member in group.items() if e != picture and is_picture(member))
        found.further.update(f".{ending}" for ending in pictures)
    return found


def has_labels(opened: Archive) -> bool:
    """Tell whether members say the labels of pictures: .cls, the first .json beside one, or .txt.

    .txt only where the pictures lie in one folder, which then is no class.
    """
    homes, beside = set(), dict[str, Inside]()
    for folder, names in opened.files.items():
        if any(_key(name)[1].rpartition(".")[2] in _NUMBERS for name in names):
            return True
        pictures = {_key(name)[0] for name in names if is_picture(PurePosixPath(name))}
        homes |= {folder} if pictures else set()
        for name in names:
            key, ending = _key(name)
            if ending in ("json", "txt") and key in pictures:
                beside.setdefault(ending, Inside(opened, folder) / name)
    if "txt" in beside and len(homes) == 1:
        return True
    return "json" in beside and _is_label(beside["json"])


def labels(samples: Sequence[Sample]) -> tuple[list[str], str]:
    """Read the label of each sample; say where all of them stand: .json, .cls, .txt or folders.

    DataError names a sample that has none where others do: the name of its folder would be a class
    beside those of the labels. Texts beside pictures in several folders are no labels.
    """
    known: list[str] = []
    lacking = samples[0]
    homes = {PurePosixPath(one.picture.inner).parent for one in samples}
    for kind, read in _READERS.items():
        found = [read(one.labels[kind]) if kind in one.labels else None for one in samples]
        named = [name for name in found if name]
        if not named or (kind == "txt" and (len(homes) > 1 or _are_captions(named))):
            continue
        if len(named) == len(samples):
            return named, f".{kind}"
        known.append(f"{len(named)} have one in .{kind}")
        lacking = samples[found.index(None)]
    if known:
        raise DataError(
            f"{shown(str(lacking.picture))} has no label: of {counted(len(samples), 'pictures')} "
            f"{' and '.join(known)}; write one for each, all in files of one kind"
        )
    return _folders(samples), "folders"


def _folders(samples: Sequence[Sample]) -> list[str]:
    found = [canonical(PurePosixPath(one.picture.inner).parent.name) for one in samples]
    without = [one for one, name in zip(samples, found, strict=True) if not name]
    if without:
        raise DataError(
            f"{shown(str(without[0].picture))} has no label ({len(without)} such): a picture in a "
            "shard has one in NAME.cls or NAME.json, or lies in a folder of its class"
        )
    return found


def _groups(opened: Archive) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for folder, names in opened.files.items():
        for name in names:
            key, ending = _key(f"{folder}/{name}" if folder else name)
            if not ending:
                continue
            group = groups.setdefault(key, {})
            if ending in group:
                raise DataError(
                    f"{shown(str(group[ending]))} and {shown(name)} are one member of a sample "
                    "twice: rename one, or take it out"
                )
            group[ending] = Inside(opened, folder) / name
    return groups


def _key(path: str) -> tuple[str, str]:
    """Cut a member's path into key and ending; a hidden file, or one without a dot, has none.

    >>> _key("all/v1.0_7.seg.PNG"), _key("a.b/7.cls"), _key("a.b/.7.cls"), _key("a.b/7")
    (('all/v1', '0_7.seg.png'), ('a.b/7', 'cls'), ('a.b/', ''), ('a.b/7', ''))
    """
    folder, slash, name = path.rpartition("/")
    key, _, ending = name.partition(".")
    return f"{folder}{slash}{key}", ending.lower() if key else ""


def _picture(group: Group) -> str | None:
    """Find the ending of a sample's picture; DataError where it may be several."""
    pictures = [ending for ending, member in group.items() if is_picture(member)]
    plain = [ending for ending in pictures if "." not in ending]
    if plain:
        return min(plain, key=lambda one: _FIRST.index(one) if one in _FIRST else len(_FIRST))
    if len(pictures) < 2:
        return next(iter(pictures), None)
    named = [ending for ending in pictures if ending.partition(".")[0] in _PICTURES]
    if len(named) == 1:
        return named[0]
    one, other = (shown(str(group[ending])) for ending in pictures[:2])
    raise DataError(
        f"{one} and {PurePosixPath(other).name} are {counted(len(pictures), 'pictures')} of "
        "one sample: in a shard's names all after the first dot is the ending: write no dot "
        "before it"
    )


def _labels(group: Group, picture: str) -> dict[str, Inside]:
    before = picture.rpartition(".")[0]
    found: dict[str, Inside] = {}
    for kind in ("json", "txt"):
        ending = kind if kind in group else f"{before}.{kind}"
        if ending in group:
            found[kind] = group[ending]
    numbers = [ending for ending in group if ending.rpartition(".")[2] in _NUMBERS]
    numbers = [one for one in numbers if one.rpartition(".")[0] in ("", before)] or numbers
    if len(numbers) > 1:
        names = " and ".join(shown(group[ending].name) for ending in numbers[:2])
        raise DataError(f"{shown(str(group[picture]))} has several labels: {names}")
    if numbers:
        found["cls"] = group[numbers[0]]
    return found


def _refuse_label_alone(group: Group) -> None:
    for ending, member in group.items():
        last = ending.rpartition(".")[2]
        if last in _NUMBERS or (ending == "json" and _is_label(member)):
            others = ", ".join(f".{one}" for one in group if one != ending)
            raise DataError(
                f"{shown(str(member))} is the label of no picture (beside it are {others or 'none'}"
                "): a label has the name of its picture up to the first dot"
            )


def _is_label(member: Inside) -> bool:
    try:
        return _of_json(member) is not None
    except DataError:
        return False


def _of_json(member: Inside) -> str | None:
    try:
        found: Any = json.loads(_text(member), parse_float=str)
    except ValueError as error:
        raise DataError(f"{shown(str(member))} is no JSON: {error}") from error
    key = next((key for key in _JSON_KEYS if isinstance(found, dict) and key in found), None)
    if key is None or found[key] is None:
        return None
    written = records.text(found[key])
    if written is None:
        raise DataError(
            f"{shown(str(member))}: {key} is {records.brief(found[key])}, not a text or a number"
        )
    return canonical(written)


def _of_text(member: Inside) -> str | None:
    text = _text(member)
    return canonical(text) if text.strip() else None


_READERS = {"json": _of_json, "cls": _of_text, "txt": _of_text}


def _are_captions(texts: Sequence[str]) -> bool:
    """Tell texts that describe a picture from names of classes, which come again and again."""
    if any("\n" in text or len(text) > _LONGEST_NAME for text in texts):
        return True
    return len(set(texts)) > max(2, len(texts) / 2)


def _text(member: Inside) -> str:
    try:
        return member.read().decode()
    except (PictureError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(str(member))} cannot be read as text: {error}") from error
