"""The Python code that a run carries: of its network, in every state that is kept, and its data."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from striate import files, usercode
from striate.errors import DataError
from striate.models import Architecture
from striate.usercode import Reference

from . import bundle, checkpoints, folder


class Code(NamedTuple):
    """A function or class of a user's file, and what it is for."""

    role: str  # network or data
    name: str
    arguments: dict[str, Any]
    source: str  # the text of the whole file

    @property
    def reference(self) -> Reference:
        """What is executed."""
        return Reference(self.source, self.name, self.arguments)

    @property
    def sha256(self) -> str:
        """The checksum of source, name and arguments together: what is agreed to."""
        return self.reference.sha256

    @property
    def agreed(self) -> bool:
        """Whether it runs without being asked about: the user gave it on this machine."""
        return usercode.is_agreed(self.reference)

    def __str__(self) -> str:
        """Return what it is for, its name and its length in one line."""
        return f"{self.role}: {self.reference}"

    def to_json(self) -> dict[str, Any]:
        """Return a row of the JSON output."""
        return {**self._asdict(), "sha256": self.sha256, "agreed": self.agreed}


def carried(run: Path) -> list[Code]:
    """List the code that a run or bundle carries, each once; nothing of it is executed.

    Raises DataError where all that could bring a network is damaged.
    """
    folder.require(run)
    found = [Code("network", code.name, code.arguments, code.source) for code in _networks(run)]
    if (run / folder.DATA).is_file():
        code = folder.read_origin(run).code
        found += [Code("data", code.name, code.arguments, code.source)] if code else []
    return list({(code.role, code.sha256): code for code in found}.values())


def _networks(run: Path) -> Iterator[Reference]:
    """Yield the code of the bundle and of each checkpoint: damage decides which is loaded."""
    cards = [run / bundle.CARD, run / folder.BUNDLE / bundle.CARD]
    cards += sorted((run / folder.CHECKPOINTS).glob(f"*/{checkpoints.STATE}"), reverse=True)
    damaged, read = None, 0
    for path in filter(Path.is_file, cards):
        try:
            code = _of_card(path)
        except DataError as error:
            damaged = damaged or error
            continue
        read += 1
        if code:
            yield code
    if damaged and not read:
        raise damaged


def _of_card(path: Path) -> Reference | None:
    document = files.read_document(path)
    try:
        architecture = Architecture(**document["architecture"])
        code = architecture.code
        if code:
            json.dumps([code.arguments, code.source + code.name])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} does not describe a network: {error}") from error
    return code
