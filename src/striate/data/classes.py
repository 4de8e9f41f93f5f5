"""Names of classes: the form in which they are compared, and those that look alike."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def canonical(name: str) -> str:
    r"""Return a name as it is compared: letters composed (NFC), no blanks at its ends.

    >>> canonical("cafe\u0301 ")
    'café'
    """
    return unicodedata.normalize("NFC", name).strip()


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
