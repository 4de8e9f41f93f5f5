"""Members of WebDataset's shards, grouped into samples: one picture each, and its label.

Members belong together whose paths agree up to the first dot of their last part, the key; all
after it is the ending, by which a member is told (https://github.com/webdataset/webdataset).
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
_CAPTION = "\n"  # stands for one

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


class Texts:
    """What members say of the labels of pictures: a value a picture, shard after shard."""

    def __init__(self) -> None:
        self._said: dict[str, list[str | None]] = {kind: [] for kind in _READERS}
        self._broken: dict[str, str] = {}
        self._folders: list[str] = []
        self._homes: set[str] = set()
        self._same: dict[str, str] = {}  # one object for each text: most come again and again

    def add(self, said: Mapping[str, Sequence[str | None]], broken: Mapping[str, str]) -> None:
        """Add the texts of a shard's pictures by kind, and why one of a kind cannot be read."""
        for kind, texts in said.items():
            same = self._same.setdefault
            self._said[kind] += [text and same(text, text) for text in texts]
        for kind, why in broken.items():
            self._broken.setdefault(kind, why)

    def place(self, inner: str) -> None:
        """Add where a picture lies."""
        home = PurePosixPath(inner).parent
        self._homes.add(str(home))
        self._folders.append(self._same.setdefault(home.name, home.name))

    def labels(self, name: Callable[[int], str]) -> tuple[list[str], str]:
        """Return each picture's label; say where all of them stand: .json, .cls, .txt or folders.

        DataError names a picture that has none where others do: the name of its folder would be a
        class beside those of the labels. Texts beside pictures in several folders are no labels.
        """
        known: list[str] = []
        lacking, count = 0, len(self._folders)
        for kind, found in self._said.items():
            if kind in self._broken:
                raise DataError(self._broken[kind])
            named = [text for text in found if text]
            if not named or (kind == "txt" and (len(self._homes) > 1 or _are_captions(named))):
                continue
            if len(named) == count:
                return named, f".{kind}"
            known.append(f"{len(named)} have one in .{kind}")
            lacking = found.index(None)
        if known:
            raise DataError(
                f"{name(lacking)} has no label: of {counted(count, 'pictures')} "
                f"{' and '.join(known)}; write one for each, all in files of one kind"
            )
        return self._of_folders(name), "folders"

    def _of_folders(self, name: Callable[[int], str]) -> list[str]:
        found = list(map(canonical, self._folders))
        without = [row for row, label in enumerate(found) if not label]
        if without:
            raise DataError(
                f"{name(without[0])} has no label ({len(without)} such): a picture in a "
                "shard has one in NAME.cls or NAME.json, or lies in a folder of its class"
            )
        return found


def said(samples: Sequence[Sample]) -> tuple[dict[str, list[str | None]], dict[str, str]]:
    """Read what members say of labels: texts by kind, and why one of a kind cannot be read."""
    found: dict[str, list[str | None]] = {kind: [] for kind in _READERS}
    broken: dict[str, str] = {}
    for sample in samples:
        for kind, read in _READERS.items():
            text = None
            try:
                text = read(sample.labels[kind]) if kind in sample.labels else None
            except DataError as error:
                broken.setdefault(kind, str(error))
            found[kind].append(text)
    return found, broken


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


def _of_caption(member: Inside) -> str | None:
    # Of a caption it is enough to know that it is one: there may be millions.
    text = _of_text(member)
    return _CAPTION if text and _is_caption(text) else text


_READERS = {"json": _of_json, "cls": _of_text, "txt": _of_caption}


def _are_captions(texts: Sequence[str]) -> bool:
    """Tell texts that describe a picture from names of classes, which come again and again."""
    if any(map(_is_caption, texts)):
        return True
    return len(set(texts)) > max(2, len(texts) / 2)


def _is_caption(text: str) -> bool:
    return "\n" in text or len(text) > _LONGEST_NAME


def _text(member: Inside) -> str:
    try:
        return member.read().decode()
    except (PictureError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(str(member))} cannot be read as text: {error}") from error
