"""Recognises how the examples in a folder or an archive are laid out: classes, splits, or both."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from striate.data.classes import canonical, folder_order, look_alikes, places
from striate.data.filekinds import recognised
from striate.data.splits import Data, Split, split_name
from striate.errors import DataError
from striate.wording import counted, shown

from .archives import Archive, Inside
from .folder import (
    Place,
    has_examples,
    holds_runs_only,
    identity,
    is_run,
    leftovers,
    list_examples,
    loose,
    made,
    refusals,
    refuse_twins,
    relative,
    subfolders,
)
from .splitnames import PART, like_split, marked, says_nothing

Part = Mapping[str, Sequence[Place]]  # of a split: class -> its folders


class Found(NamedTuple):
    """A layout that was recognised."""

    parts: dict[str, Part]  # split -> its classes
    what: str  # for the line that says so
    warnings: list[str]
    renamed: tuple[str, ...] = ()  # folders that are taken for a split of another name


def folder(root: Place) -> Data:
    """Recognise the layout of a folder and list its files; classes sort as torchvision's do.

    Most of them say whether they are pictures, sounds or clips. A single folder between the root
    and the class folders is passed through. Whatever lies there and is not used is counted.
    """
    if is_run(root):
        raise DataError(f"{shown(root)} is a run of striate, not data: give the folder of pictures")
    kind = recognised(list_examples(root))
    rest, above = leftovers(root, kind), root
    root = _inner(root, kind)
    tops, aliases = _tops(root)
    if not tops:
        raise DataError(
            f"{shown(root)} has no subfolders: put the {kind} of each class into one"
            + _besides(rest.lines(kind))
        )
    filled = [top for top in tops if has_examples(root / top, kind)]
    if not filled:
        listed = ", ".join(shown(name) for name in tops[:5])
        raise DataError(
            f"{shown(root)} has no {kind} in its subfolders ({listed})" + _besides(rest.lines(kind))
        )
    found = _with_splits(root, tops, filled, kind) or _by_class(root, tops, filled, kind)
    found = found or _flat(root, tops, filled, kind)
    classes = folder_order(name for part in found.parts.values() for name in part)
    splits = {name: _read(root, part, classes, kind) for name, part in found.parts.items()}
    sizes = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    what = found.what.format(
        sizes=f"{sizes} {kind}",
        count=counted(sum(map(len, splits.values())), kind),
        classes=counted(len(classes), "class folders"),
    )
    layout = "; ".join([f"{shown(root)}: {what}", *found.renamed])
    outside = _loose(above, kind) if above is not root else []
    warnings = [*found.warnings, *_loose(root, kind), *outside, *aliases, *rest.lines(kind)]
    data = made(root, classes, splits, layout, warnings)
    return dataclasses.replace(data, left_out=dict(rest.endings))


def of_one_class(root: Path, classes: Sequence[str]) -> Data | None:
    """Open a folder without folders as the class that it has the name of; None if it is none."""
    kind = recognised(list_examples(root))
    (place,) = places([root.resolve().name], classes)
    if place < 0 or _tops(root)[0] or not loose(root, kind):
        return None
    name, rest = classes[place], leftovers(root, kind)
    split = _read(root, {name: [root]}, (name,), kind)
    layout = f"{shown(root)}: {counted(len(split), kind)} of class {name}, by the folder's name"
    data = made(root, (name,), {"train": split}, layout, rest.lines(kind))
    return dataclasses.replace(data, left_out=dict(rest.endings))


def without_classes(root: Path) -> Data | None:
    """Open a folder whose examples lie in it and in no folder below: they have no class."""
    kind = recognised(list_examples(root))
    if _tops(root)[0] or not loose(root, kind):
        return None
    paths = list(list_examples(root, kind))
    names = [shown(relative(path, root)) for path in paths]
    split = Split(paths, np.full(len(paths), -1), names, kind)
    rest, layout = leftovers(root, kind), f"{shown(root)}: {counted(len(split), kind)}, no classes"
    data = made(root, (), {"train": split}, layout, rest.lines(kind))
    return dataclasses.replace(data, left_out=dict(rest.endings))


def archive(opened: Archive) -> Data:
    """Open a zip or tar file that holds class folders, by themselves or below one folder."""
    said = refusals(opened)
    try:
        found = folder(Inside(opened))
    except DataError as error:
        raise DataError(f"{error}{_besides(said)}") from error
    return dataclasses.replace(found, warnings=(*found.warnings, *said))


def _besides(lines: Sequence[str]) -> str:
    return "".join(f"; {line}" for line in lines)


def _inner(root: Place, kind: str) -> Place:
    """Pass through single folders that hold the classes, or the splits."""
    while len(tops := _tops(root)[0]) == 1 and not split_name(tops[0]):
        inner = root / tops[0]
        filled = _filled(inner, kind)
        # A class whose splits lie in it, and not a folder of two classes called train and test.
        divided = all(map(split_name, filled)) and not any(_filled(inner / f, kind) for f in filled)
        if len(filled) < 2 or divided:
            break
        root = inner
    return root


def _tops(root: Place) -> tuple[list[str], list[str]]:
    """Name the folders in a folder, each real one once, and say which are the same."""
    names = [name for name in subfolders(root) if not holds_runs_only(root / name)]
    said: list[str] = []
    if isinstance(root, Inside):
        return names, said
    known: dict[object, str] = {}
    # A link stands behind what it leads to.
    for name in sorted(names, key=lambda name: ((root / name).is_symlink(), name)):
        first = known.setdefault(identity(root / name), name)
        if first != name:
            said.append(f"{shown(root / name)} is the same folder as {shown(first)}: left out")
    return sorted(known.values()), said


def _filled(folder: Place, kind: str) -> list[str]:
    return [name for name in _tops(folder)[0] if has_examples(folder / name, kind)]


def _with_splits(root: Place, tops: list[str], filled: list[str], kind: str) -> Found | None:
    splits = _split_folders(root, filled, kind)
    if not splits:
        return None
    warnings = _left_out(root, [top for top in tops if top not in splits], splits, kind)
    if len(set(splits.values())) < len(splits):
        raise DataError(f"{shown(root)} has two folders for one split: {', '.join(splits)}")
    bases = {name: _within(root / top, kind) for top, name in splits.items()}
    held = {name: _filled(base, kind) for name, base in bases.items()}
    parts = {name: _part(base, held[name]) for name, base in bases.items()}
    # Without a training split (pictures to evaluate on, say) all the class folders are classes.
    known = ["train"] if "train" in parts else list(parts)
    classes = {label for name in known for label in parts[name]}
    for name, base in bases.items():
        _refuse_unknown(base, parts[name], classes, kind)
    for name in known:
        warnings += _empty(bases[name], _tops(bases[name])[0], held[name], kind)
        warnings += _loose(bases[name], kind)
    renamed = (f"{shown(top)} is {name}" for top, name in splits.items() if not split_name(top))
    return Found(parts, "split folders of {classes} ({sizes})", warnings, tuple(renamed))


def _split_folders(root: Place, filled: list[str], kind: str) -> dict[str, str]:
    """Return the folders that are splits, with the split of each; none where they are classes.

    Raises DataError where they are named like splits and are of no use as such.
    """
    named = marked(filled)
    labels = {top: set(map(canonical, _filled(_within(root / top, kind), kind))) for top in named}
    holding = {top: name for top, name in named.items() if labels[top]}
    exact = {top: name for top, name in holding.items() if split_name(top)}
    train = next((labels[top] for top, name in holding.items() if name == "train"), set())
    agreeing = {top: name for top, name in holding.items() if labels[top] <= train}
    if "train" in exact.values():
        taken = set(exact.values())
        return exact | {top: n for top, n in agreeing.items() if n not in taken}
    if exact and all(map(split_name, filled)):
        return exact
    if agreeing == holding and len(set(agreeing.values())) > 1:
        return agreeing
    if len(named) == len(filled) and (all(map(split_name, filled)) or len(named) > 1):
        _refuse_splits(root, filled, kind)
    if all(map(PART.fullmatch, filled)) and _same_inside(
        root, {top: _filled(root / top, kind) for top in filled}, kind
    ):
        raise DataError(
            f"{shown(root)} has parts of one data set ({_some(filled)}) with the same class "
            "folders in each: give one of them, or put the class folders on top"
        )
    return {}


def _refuse_splits(root: Place, filled: Sequence[str], kind: str) -> None:
    named = f"{shown(root)} has {_some(filled)}, named like splits"
    if any(_filled(_within(root / top, kind), kind) for top in filled):
        raise DataError(
            f"{named}, but their class folders differ: name the splits train, validation and test"
        )
    raise DataError(
        f"{named}, but the {kind} lie in them directly: put those of each class into a folder "
        f"({shown(filled[0])}/CLASS/...) or list them in a table with their labels; if these are "
        "classes, rename them"
    )


def _within(base: Place, kind: str) -> Place:
    """Pass through a single folder in a split that repeats its name, or says nothing."""
    while len(inner := _tops(base)[0]) == 1 and not loose(base, kind):
        alike = like_split(inner[0])
        repeats = inner[0] == base.name or (alike is not None and not alike[1])
        if not (repeats or says_nothing(inner[0])):
            break
        if not _filled(base / inner[0], kind):
            break
        base = base / inner[0]
    return base


def _part(base: Place, filled: Sequence[str]) -> Part:
    refuse_twins(base, filled)
    return {canonical(name): [base / name] for name in filled}


def _empty(base: Place, tops: Sequence[str], filled: Sequence[str], kind: str) -> list[str]:
    bare = sorted(set(tops) - set(filled))
    return [f"class folder {shown(base / name)} has no {kind}: left out" for name in bare]


def _left_out(
    root: Place, strays: Sequence[str], splits: Mapping[str, str], kind: str
) -> list[str]:
    """Warn of folders beside the splits that hold no class; refuse one that may be a class."""
    warnings = []
    for stray in strays:
        is_filled = has_examples(root / stray, kind)
        alike = like_split(stray)
        is_bare = alike and not alike[1] and not _filled(root / stray, kind)
        if is_filled and not is_bare:
            raise DataError(
                f"{shown(root)} has splits ({', '.join(splits)}) and, beside them, "
                f"{shown(stray)}: move it away, or rename the splits if they are classes"
            )
        what = "no class folders" if is_filled else f"no {kind}"
        warnings.append(f"{shown(root / stray)} has {what}: left out")
    return warnings


def _refuse_unknown(base: Place, part: Part, classes: set[str], kind: str) -> None:
    for name in part:
        if name not in classes:
            near = next((same for same in look_alikes([*classes, name]) if name in same), [])
            hint = f" (they are in {shown(near[0])!r})" if near else ""
            raise DataError(
                f"class {shown(name)!r} is in {shown(base)} but has no {kind} to train on{hint}"
            )


def _by_class(root: Place, tops: list[str], filled: list[str], kind: str) -> Found | None:
    """Recognise CLASS/train and CLASS/test, where each class folder holds splits and no more."""
    inner = {top: _filled(root / top, kind) for top in filled}
    names = {split_name(name) for within in inner.values() for name in within}
    if not names or None in names or any(loose(root / top, kind) for top in filled):
        return None
    parts: dict[str, dict[str, list[Place]]] = {}
    for top, within in inner.items():
        splits = [split_name(name) for name in within]
        if (
            not within
            or len(set(splits)) < len(splits)
            or ("train" in names) != ("train" in splits)
        ):
            return None
        for name, split in zip(within, splits, strict=True):
            assert split is not None
            parts.setdefault(split, {})[canonical(top)] = [root / top / name]
    refuse_twins(root, filled)
    what = "{classes} with split folders in each ({sizes})"
    return Found(dict(parts), what, _empty(root, tops, filled, kind))


def _flat(root: Place, tops: list[str], filled: list[str], kind: str) -> Found:
    warnings = _empty(root, tops, filled, kind)
    inner = {top: _filled(root / top, kind) for top in filled}
    like = [top for top in filled if (found := like_split(top)) and not found[1]]
    if like:
        warnings.append(f"named like splits, but taken for classes: {_some(like)}")
    if same := _same_inside(root, inner, kind):
        warnings.append(
            f"{_some(filled)} hold folders of the same names ({_some(same)}): the outer ones are "
            "taken for classes"
        )
    nested = [f"{top}/{name}" for top in filled for name in inner[top] if split_name(name)]
    if nested:
        warnings.append(
            f"named like splits, but not used as such, as not all class folders have them: "
            f"{_some(nested)}"
        )
    return Found({"train": _part(root, filled)}, "{count} in {classes}, no splits", warnings)


def _same_inside(root: Place, inner: Mapping[str, Sequence[str]], kind: str) -> Sequence[str]:
    """Return the two or more folders that all folders hold, with nothing beside them; else none."""
    (first, *others) = inner.values()
    same = all(names == first for names in others) and len(first) > 1 and bool(others)
    return first if same and not any(loose(root / top, kind) for top in inner) else ()


def _read(root: Place, part: Part, classes: tuple[str, ...], kind: str) -> Split:
    listing = [
        [path for place in part.get(name, ()) for path in list_examples(place, kind)]
        for name in classes
    ]
    paths = [path for files in listing for path in files]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in listing])
    names = [shown(relative(path, root)) for path in paths]
    return Split(paths, labels.astype(np.int64), names, kind)


def _loose(folder: Place, kind: str) -> list[str]:
    count = loose(folder, kind)
    return [f"{counted(count, kind)} in {shown(folder)} itself: left out"] if count else []


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(map(shown, names[:most])) + (", ..." if len(names) > most else "")
