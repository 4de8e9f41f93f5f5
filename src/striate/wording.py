"""How figures, counts and names are written, everywhere in the same way."""

import os
import re
from pathlib import PurePath
from typing import Protocol

_IRREGULAR = {
    "boxes": "box",
    "classes": "class",
    "copies": "copy",
    "entries": "entry",
    "near-copies": "near-copy",
}
# Bytes that are no UTF-8 (as surrogates), control characters, and the backslash itself.
_ODD = re.compile(r"[\udc80-\udcff\x00-\x1f\x7f\\]")


class Named(Protocol):
    """A place whose text is its name: a path, or a member of an archive."""

    def __str__(self) -> str: ...


def counted(count: int, things: str) -> str:
    """Write how many things there are; `things` is their plural, whose last word is the noun.

    >>> counted(1, "pictures"), counted(2500, "pictures"), counted(1, "damaged copies")
    ('1 picture', '2,500 pictures', '1 damaged copy')
    """
    return f"{count:,} {one(things) if count == 1 else things}"


def one(things: str) -> str:
    """Write the singular of a plural.

    >>> one("clips"), one("classes")
    ('clip', 'class')
    """
    before, blank, noun = things.rpartition(" ")
    return before + blank + _IRREGULAR.get(noun, noun.removesuffix("s"))


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share in [0, 1]; a dash stands for none.

    >>> percent(0.928), percent(1 / 3, 1), percent(None)
    ('92.80 %', '33.3 %', '-')
    """
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def duration(seconds: float) -> str:
    """Write a time as people say it.

    >>> duration(3.25), duration(75), duration(7322)
    ('3.2 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def shown(name: Named | PurePath | str) -> str:
    r"""Write a name as one line of text that UTF-8 can hold; `original` undoes it.

    >>> shown("caf\udce9/new\nline.png")
    'caf\\xe9/new\\x0aline.png'
    """
    return _ODD.sub(lambda odd: f"\\x{ord(odd[0]) & 0xFF:02x}", str(name))


def printable(text: str) -> str:
    r"""Write text that cannot steer a terminal or hide its order: what does not show is escaped.

    >>> print(printable("a\x1b[2Jb\u202e"))
    a\x1b[2Jb\u202e
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def original(text: str) -> str:
    """Read back the name that `shown` wrote."""
    codes = re.compile(r"\\x([0-9a-f]{2})")
    return codes.sub(lambda code: os.fsdecode(bytes([int(code[1], 16)])), text)
