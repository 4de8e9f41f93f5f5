"""The order of classes, the form in which their names are compared, and names that look alike."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return each label once, in an order that follows from the labels alone.

    Where all are whole numbers they are in their own order, else in that of their characters.

    >>> class_order(["10", "9", "007", "7", "9"]), class_order(["10", "9", "x"])
    (('007', '7', '9', '10'), ('10', '9', 'x'))
    """
    names = set(labels)
    if all(map(str.isdecimal, names)):
        return tuple(sorted(names, key=lambda name: (_digits(name), name)))
    return tuple(sorted(names))


def _digits(number: str) -> tuple[int, str]:
    """Return what whole numbers of any length and script sort by."""
    digits = "".join(str(unicodedata.digit(letter)) for letter in number).lstrip("0")
    return len(digits), digits


def folder_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of class folders, each once, in the order of torchvision's ImageFolder.

    >>> folder_order(["9", "10", "9"])
    ('10', '9')
    """
    return tuple(sorted(set(names)))


def canonical(name: str) -> str:
    r"""Return a name as it is compared: letters composed (NFC), no blanks at its ends.

    >>> canonical("cafe\u0301 ")
    'café'
    """
    composed = unicodedata.normalize("NFC", name)
    return composed.strip() or composed


def canonical_path(name: str) -> str:
    """Return the name of a file with each of its folders in canonical form."""
    return "/".join(map(canonical, name.split("/")))


def places(names: Iterable[str], classes: Sequence[str]) -> list[int]:
    """Return where each name stands among classes, -1 where it does not: in canonical form.

    >>> places(["b ", "c", "a"], ["a", "b"])
    [1, -1, 0]
    """
    # The very name first: classes of an older run may differ in nothing but blanks.
    known = {canonical(name): place for place, name in enumerate(classes)}
    known |= {name: place for place, name in enumerate(classes)}
    return [known.get(name, known.get(canonical(name), -1)) for name in names]


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Group the names that people would take for one: other case, blanks, or codes of a letter.

    >>> look_alikes(["Cat", "dog", "cat", "cat "])
    [['Cat', 'cat', 'cat ']]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_looks(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _looks(name: str) -> str:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = (" " if letter.isspace() else letter for letter in plain if letter not in _UNSEEN)
    return " ".join("".join(seen).split())


# Soft hyphen, zero-width blanks and joiners, the word joiner, a byte order mark.
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
