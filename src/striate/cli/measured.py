"""What `striate evaluate` prints: the figure, what stands beside it, and its tables."""

from collections.abc import Mapping
from typing import Any

from striate import console, terminal
from striate.data import relabelled_line
from striate.evaluation import VIEWS
from striate.inspection import leak_line, seen_line
from striate.inspection.leaks import copies_of, matters
from striate.metrics import BINS
from striate.wording import counted, percent

Found = Mapping[str, Any]  # the document of --json, or what it has of the average over views


def show(found: Found) -> None:
    """Print an evaluation, from the document of --json."""
    low, high = found["interval"]
    console.tell(
        f"{found['split']} accuracy {percent(found['accuracy'])} (95 % interval {percent(low)} to "
        f"{percent(high)}, {counted(found['n'], found['kind'])}{_known(found)})"
        f"{terminal.balanced(found)}  {_ranks(found)}loss {found['loss']:.4f}"
    )
    _warn(found)
    _averaged(found)
    _calibration(found)
    _classes(found)
    _confident(found)
    _confusions(found)


def _known(found: Found) -> str:
    """Count beside an accuracy the pictures that training had, or copies of them."""
    seen, leak = found["trained_on"], found["leak"]
    if found["split"] == "train" and not seen:
        return ", all of them trained on"
    if seen and matters(seen["pictures"], seen["near"], seen["n"]):
        return f", {seen['pictures']:,} of them trained on"
    if leak:
        return (
            f", {leak['copies']:,} with a {copies_of(leak['copies'], leak.get('near', 0))} in train"
        )
    return ""


def _ranks(found: Found) -> str:
    """Write how often the right class is among the likeliest: those asked for, else five."""
    usual = {"5": found["top5"]} if len(found["per_class"]) > 5 else {}
    shares = found.get("top", usual)
    return "".join(f"top-{k} {percent(share)}  " for k, share in shares.items())


def _warn(found: Found) -> None:
    """Say what makes an accuracy too high, or is left out of it."""
    if found["leak"]:
        console.tell(leak_line(found["leak"]))
    if found["trained_on"] and (line := seen_line(found["trained_on"], found["kind"])):
        console.tell(line)
    if found["relabelled"]:
        console.tell(relabelled_line(found["relabelled"]))
    if found["lost_classes"]:
        names = ", ".join(map(repr, found["lost_classes"]))
        console.tell(f"not measured, as none of their {found['kind']} can be read: {names}")
    measured = [row["class"] for row in found["per_class"] if row["n"]]
    if len(measured) == 1:
        console.tell(f"one class only, {measured[0]}: this accuracy is its recall")


def _averaged(found: Found) -> None:
    """Print the accuracy by several views, never without the one by one view."""
    tta = found["tta"]
    if tta:
        console.tell(
            f"accuracy {percent(tta['accuracy'])} with {VIEWS[tta['views']].spoken} "
            f"({percent(found['accuracy'])} without): logits averaged over {tta['count']} views"
        )


def _calibration(found: Found) -> None:
    """Print how confidence and accuracy agree, before a temperature as well."""
    own = found["calibration"]
    line = (
        f"mean confidence {percent(own['confidence'])}, calibration error {percent(own['error'])} "
        f"(ECE, {BINS} bins)"
    )
    before = own["without"]
    if before:
        line = (
            f"temperature {own['temperature']:.3f}: {line}, loss {own['loss']:.4f}; without it "
            f"{percent(before['confidence'])}, {percent(before['error'])}, {before['loss']:.4f}"
        )
    console.tell(line)


def _classes(found: Found) -> None:
    keys = ("precision", "recall", "f1")
    console.table(
        ["class", "n", *keys],
        [
            [row["class"], f"{row['n']}", *(percent(row[key]) for key in keys)]
            for row in found["per_class"]
        ],
    )


def _confident(found: Found) -> None:
    """Print how many answers are sure enough, and how often those are right."""
    own = found["tta"] or found
    if "confident" not in own:
        return
    asked = own["confident"]
    views = f" with {VIEWS[own['views']].spoken}" if own is not found else ""
    count = f"{asked['answered']:,} of {asked['n']:,}"
    console.tell(
        f"sure of {percent(asked['coverage'])} of the {found['kind']}{views} ({count}): "
        f"{percent(asked['accuracy'])} of those are right"
    )
    console.table(
        ["min. confidence", "answered", "coverage", "accuracy"],
        [
            [
                f"{row['min_confidence']:g}",
                f"{row['answered']}",
                percent(row["coverage"]),
                percent(row["accuracy"]),
            ]
            for row in asked["table"]
        ],
    )


def _confusions(found: Found) -> None:
    if found["confusions"]:
        console.tell("most confused:")
        console.table(
            ["true", "predicted", "count"],
            [
                [row["true"], row["predicted"], f"{row['count']}"]
                for row in found["confusions"][:10]
            ],
        )
