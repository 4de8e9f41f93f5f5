"""Settings compared: results, choices, and each against the first in detail."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from striate.errors import DataError, UsageError
from striate.wording import counted, shown

from .answers import read_answers
from .comparison import Compared, Difference, compare, differences, paired
from .matching import matched
from .settings import VARIED, Key, Setting, Trained

SURE = 0.05  # below it a p is called a difference
# What is compared of result.json, in this order, and how many of it make one for people.
MEASURES = {
    "accuracy": 100.0,
    "balanced_accuracy": 100.0,
    "top5": 100.0,
    "loss": 1.0,
    "epochs": 1.0,
    "best_epoch": 1.0,
    "train_seconds": 1.0,
    "parameters": 1.0,
    "n": 1.0,
}


class Spread(NamedTuple):
    """A number over the runs of a setting."""

    mean: float
    sd: float | None  # None of one run
    n: int


class Match(NamedTuple):
    """Two runs, one of each setting, on the pictures that both were judged on."""

    first: Trained
    second: Trained
    compared: Compared
    moved: int  # pictures known by their content, under another name
    unlike: int  # pictures of one name in both that are not the same


class Pair(NamedTuple):
    """A setting against the first one."""

    first: str
    second: str
    matches: tuple[Match, ...]  # of runs with the same seed; else of the first runs
    difference: Difference | None  # of accuracies, paired by seed; None of fewer than two
    split: str
    paired_by: str  # seeds or folds
    notes: tuple[str, ...]  # what could not be compared, and why


class Standings(NamedTuple):
    """What several settings reached, in what they differ, and who is right where."""

    settings: list[Setting]
    choices: dict[str, list[Any]]  # those that differ, a value a setting
    results: dict[str, list[Spread | None]]  # those that differ, a value a setting
    pairs: list[Pair]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return what `striate compare --json` prints."""
        return {
            "settings": [_setting_json(setting) for setting in self.settings],
            "choices": self.choices,
            "results": {
                name: [one._asdict() if one else None for one in row]
                for name, row in self.results.items()
            },
            "pairs": [_pair_json(pair) for pair in self.pairs],
            "notes": self.notes,
        }


def standings(settings: Sequence[Setting]) -> Standings:
    """Compare finished settings; each is held against the first."""
    first, *rest = settings
    recipes = [setting.runs[0].recipe for setting in settings]
    measured = {name: [spread(setting, name) for setting in settings] for name in MEASURES}
    unlike = {name: row for name, row in measured.items() if any(one != row[0] for one in row)}
    return Standings(
        list(settings),
        differences([{**recipe, "seed": None, "fold": None} for recipe in recipes]),
        unlike,
        [_pair(first, other) for other in rest],
        _unlike_data(settings),
    )


def spread(setting: Setting, name: str) -> Spread | None:
    """Take the mean and standard deviation of a number over a setting's runs, where all have it."""
    values = [run.result.get(name) for run in setting.runs]
    known = [float(value) for value in values if isinstance(value, (int, float))]
    if len(known) < len(values) or not known:
        return None
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Spread(float(np.mean(known)), sd, len(known))


def _setting_json(setting: Setting) -> dict[str, Any]:
    accuracy = spread(setting, "accuracy")
    assert accuracy is not None, "a finished run has an accuracy"
    return {
        "name": setting.name,
        "accuracy": accuracy.mean,
        "sd": accuracy.sd,
        "runs": [
            {"run": shown(run.path), **dict(zip(VARIED, run.key, strict=True)), **run.result}
            for run in setting.runs
        ],
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "difference": pair.difference._asdict() if pair.difference else None,
        "sentence": sentence(pair),
        "matches": [_match_json(match) for match in pair.matches],
        "notes": list(pair.notes),
    }


def _match_json(match: Match) -> dict[str, Any]:
    return {
        "first": shown(match.first.path),
        "second": shown(match.second.path),
        "n": len(match.compared.files),
        "right": match.compared.test._asdict(),
        "left_out": list(match.compared.left_out),
        "moved": match.moved,
        "unlike": match.unlike,
    }


def _unlike_data(settings: Sequence[Setting]) -> list[str]:
    """Say which settings were judged on other pictures than the first."""
    first = settings[0].runs[0]
    judged = _judged(first)
    others = [
        setting for setting in settings[1:] if any(_judged(run) != judged for run in setting.runs)
    ]
    return [
        f"{setting.name} was judged on {_described(setting.runs[0])}, {settings[0].name} on "
        f"{_described(first)}: their accuracies are not of the same pictures"
        for setting in others
        if not setting.runs[0].recipe.get("folds")
    ]


def _judged(run: Trained) -> Any:
    """Return by what the split that a run was judged on is known."""
    split = run.result["split"]
    return split, run.data["origin"]["text"], run.result["n"]


def _described(run: Trained) -> str:
    kind = run.result.get("kind", "pictures")
    split = run.result["split"]
    return f"{counted(run.result['n'], f'{split} {kind}')} of {run.data['origin']['text']}"


def _pair(first: Setting, second: Setting) -> Pair:
    matches, notes = [], []
    for own, other in _opponents(first, second):
        try:
            matches.append(_match(own, other))
        except DataError as error:
            notes.append(f"{first.name} and {second.name}: {error}")
            break  # so it is of the others
    difference, why = _difference(first, second)
    split = str(first.runs[0].result["split"])
    by = "folds" if _folds(first) else "seeds"
    return Pair(first.name, second.name, tuple(matches), difference, split, by, (*notes, *why))


def _opponents(first: Setting, second: Setting) -> list[tuple[Trained, Trained]]:
    ours, theirs = first.by_key, second.by_key
    common = sorted(ours.keys() & theirs.keys())
    return [(ours[key], theirs[key]) for key in common] or [(first.runs[0], second.runs[0])]


def _match(first: Trained, second: Trained) -> Match:
    own = read_answers(first.path)
    found = matched(first, own, second, read_answers(second.path))
    return Match(first, second, compare(own, found.answers), found.moved, found.unlike)


def _difference(first: Setting, second: Setting) -> tuple[Difference | None, list[str]]:
    """Compare accuracies by seed; say why not, where both have several runs."""
    if min(len(first.runs), len(second.runs)) < 2:
        return None, []
    ours, theirs = _accuracies(first), _accuracies(second)
    try:
        return paired(ours, theirs, folds=_folds(first)), []
    except UsageError as error:
        return None, [f"{first.name} and {second.name}: {error}"]


def _accuracies(setting: Setting) -> Mapping[Key, float]:
    return {run.key: float(run.result["accuracy"]) for run in setting.runs}


def _folds(setting: Setting) -> int:
    return int(setting.runs[0].recipe.get("folds") or 0)


def sentence(pair: Pair) -> str | None:
    """Say in plain words which of two settings is better over their seeds; None of single runs."""
    found = pair.difference
    if found is None:
        return None
    better, worse = (pair.second, pair.first) if found.mean >= 0 else (pair.first, pair.second)
    sign = 1 if found.mean >= 0 else -1
    low, high = sorted((100 * sign * found.low, 100 * sign * found.high))
    text = (
        f"{better} has {abs(100 * found.mean):.2f} points more {pair.split} accuracy than {worse} "
        f"(95 % interval {low:.2f} to {high:.2f}, paired over {found.n} {pair.paired_by})"
    )
    return text if found.is_sure else f"no sure difference: {text}"


def overall(pair: Pair) -> str | None:
    """Say in plain words who is right where the other is wrong, over all runs of two settings."""
    if len(pair.matches) < 2:
        return verdict(pair.matches[0], pair.first, pair.second) if pair.matches else None
    first, second = (
        np.mean([getattr(match.compared.test, side) for match in pair.matches])
        for side in ("first", "second")
    )
    return (
        f"on {first:,.1f} pictures {pair.first} alone is right, on {second:,.1f} {pair.second} "
        f"alone: means over {len(pair.matches)} {pair.paired_by}"
    )


def verdict(match: Match, first: str, second: str) -> str:
    """Say in plain words who is right where the other is wrong."""
    found, n = match.compared.test, len(match.compared.files)
    text = (
        f"of {counted(n, 'pictures')} judged by both, {first} alone is right on {found.first:,} "
        f"and {second} alone on {found.second:,} (both on {found.both:,}, neither on "
        f"{found.neither:,}; McNemar's exact test: {chance(found.p)})"
    )
    if found.p >= SURE:
        return f"{text}: no sure difference"
    return f"{text}: {second if found.second > found.first else first} is better"


def chance(p: float) -> str:
    """Write a probability.

    >>> chance(0.0312), chance(1e-9)
    ('p = 0.031', 'p < 0.001')
    """
    return f"p = {p:.3f}" if p >= 0.0005 else "p < 0.001"


def left_out(match: Match, first: str, second: str) -> list[str]:
    """Say which pictures were not compared, and which are known by their content."""
    ours, theirs = match.compared.left_out
    lines = []
    if ours or theirs:
        lines.append(
            f"not compared: {counted(ours, 'pictures')} that only {first} was judged on, "
            f"{theirs:,} that only {second} was"
        )
    if match.moved:
        lines.append(f"{counted(match.moved, 'pictures')} of other names known by their content")
    if match.unlike:
        lines.append(
            f"{counted(match.unlike, 'names')} stand for other pictures in {second} than in {first}"
        )
    return lines
