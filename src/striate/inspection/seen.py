"""Pictures to measure a network on that it has seen in its training: by content, then by name."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from striate import metrics
from striate.data import Data
from striate.runs import folder
from striate.wording import counted, percent

from .fingerprints import Fingerprints, from_table
from .leaks import Copy, find_copies, matters


class Seen(NamedTuple):
    """Which of a split's pictures were trained on."""

    checked: str  # pixels, names, or nothing
    copies: Sequence[Copy] = ()
    train: Sequence[str] = ()  # names of the training pictures
    validation: frozenset[int] = frozenset()  # those that chose the epoch, and are not in training

    def to_json(
        self, names: Sequence[str], logits: Tensor, labels: Tensor, classes: Sequence[str]
    ) -> dict[str, Any]:
        """Return the document that `--json` holds: the counts, and what the rest is worth."""
        found: dict[str, Any] = {
            "checked": self.checked,
            "pictures": len(self.copies),
            "near": sum(copy.near for copy in self.copies),
            "n": len(labels),
            "example": None,
            "validation": len(self.validation),
            "rest": None,
        }
        if self.copies:
            row, other, _ = self.copies[0]
            found["example"] = [names[row], self.train[other]]
        left = torch.ones(len(labels), dtype=torch.bool)
        left[[copy.row for copy in self.copies]] = False
        if self.copies and left.any():
            rest = metrics.measure(logits[left], labels[left], classes)
            found["rest"] = {
                "accuracy": rest.accuracy,
                "n": rest.n,
                "interval": list(rest.interval),
                "loss": rest.loss,
            }
        return found


def seen(
    run: Path,
    data: Data,
    given: Fingerprints,
    *,
    poll: Callable[[], None] = lambda: None,
) -> Seen:
    """Look for pictures that a run was trained on; of a bundle alone nothing is known.

    Runs of earlier versions hold no fingerprints: of their own data the names still tell.
    """
    if not folder.is_run(run):
        return Seen("nothing")
    splits = folder.read_splits(run)
    table = folder.read_fingerprints(run)
    if table is None:
        return _by_names(run, data, given, splits)
    known = from_table(table, splits)
    copies = find_copies(given, known["train"], poll=poll)
    taught = {copy.row for copy in copies}
    chosen = set(known["validation"].digests) if "validation" in known else set()
    by = {row for row, digest in enumerate(given.digests) if digest in chosen}
    return Seen("pixels", copies, known["train"].names, frozenset(by - taught))


def seen_line(found: Mapping[str, Any], kind: str) -> str | None:
    """Say in one line what was found, and the accuracy of the rest; None where nothing was."""
    n, count, near = found["n"], found["pictures"], found["near"]
    if found["checked"] == "nothing":
        return (
            f"not checked whether these {kind} were trained on: "
            "no fingerprints of the training are saved here"
        )
    by_name = found["checked"] == "names"
    limit = " (told by their names: this run has no fingerprints, copies were not looked for)"
    if not matters(count, near, n):
        return f"none of these {kind} was trained on{limit}" if by_name else None
    some = f", {near:,} of them as near-copies" if near else ""
    one, other = found["example"]
    also = f" ({one} for one)" if one == other else f" ({one} is {other})"
    return (
        f"{count:,} of {counted(n, kind)} {'was' if count == 1 else 'were'} trained on{some}"
        f"{limit if by_name else also}: {_rest(found)}"
    )


def _rest(found: Mapping[str, Any]) -> str:
    rest = found["rest"]
    if rest is None:
        return "no other is left to measure"
    low, high = map(percent, rest["interval"])
    chose = found["validation"]
    some = "all" if chose == rest["n"] else f"{chose:,}"
    also = f", {some} of which chose the epoch" if chose else ""
    return (
        f"accuracy of the other {rest['n']:,}{also}: {percent(rest['accuracy'])} "
        f"(95 % interval {low} to {high})"
    )


def _by_names(
    run: Path, data: Data, given: Fingerprints, splits: Mapping[str, Sequence[str]]
) -> Seen:
    record = folder.read_json(run, folder.DATA)["origin"]
    if record["kind"] == "object" or record != data.origin._asdict():
        return Seen("nothing")
    places = {name: row for row, name in enumerate(splits["train"])}
    copies = [
        Copy(row, places[name], near=False)
        for row, name in enumerate(given.names)
        if name in places
    ]
    chosen = set(splits.get("validation", ()))
    by = frozenset(row for row, name in enumerate(given.names) if name in chosen)
    return Seen("names", copies, splits["train"], by)
