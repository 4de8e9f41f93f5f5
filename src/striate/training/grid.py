"""A sweep: every combination of the values that are given for some choices, a run each."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from striate.choices import flag
from striate.data import Data
from striate.errors import UsageError

from . import recipe
from .group import Plan, whole
from .networks import architecture

# What the best is chosen by, and on which examples: it must be the same for all.
_FIXED = ("monitor", "validation_share", "test_share", "split_seed", "folds", "fold")


def grid(data: Data, model: Any, choices: Mapping[str, Any]) -> Plan:
    """Plan a run for every combination of the choices that are lists, `model` among them.

    Every value is checked before the first run. UsageError where nothing is varied, or what the
    best is chosen by.
    """
    flat = _flat({"model": model, **choices} if model is not None else choices)
    varied = {name: _values(name, value) for name, value in flat.items() if _is_list(value)}
    rest = {name: value for name, value in flat.items() if name not in varied}
    rest |= {name: values[0] for name, values in varied.items() if len(values) == 1}
    # The seed last, so that the runs of one setting stand together.
    order = sorted(varied, key=lambda name: name == "seed")
    varied = {name: varied[name] for name in order if len(varied[name]) > 1}
    _check(data, varied, rest)
    rows = [
        dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())
    ]
    names = _unique([_name(row) for row in rows])
    usual = rest.pop("model", None)
    plan = Plan(tuple(varied), dict(zip(names, rows, strict=True)), rest, usual)
    for row in rows:
        whole_choices, network = whole(plan, row, data)
        recipe.resolve({k: v for k, v in whole_choices.items() if k != "arguments"}, {}, {})
        architecture(network, whole_choices, data)
    return plan


def _flat(choices: Mapping[str, Any]) -> dict[str, Any]:
    own = choices.get("arguments") or {}
    return {
        **{name: value for name, value in choices.items() if name != "arguments"},
        **{f"arguments.{name}": value for name, value in own.items()},
    }


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _values(name: str, values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value in found:
            raise UsageError(f"{flag(name)} has {value} twice: name each value once")
        found.append(value)
    if not found:
        raise UsageError(f"{flag(name)} has no value")
    return found


def _check(data: Data, varied: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
    recipe.check_names(
        {name: None for name in (*varied, *rest) if not name.startswith("arguments.")},
        where="a sweep",
    )
    if not varied:
        raise UsageError("a sweep varies something: give several values, as in --rate 0.01,0.1")
    if "recipe" in varied:
        raise UsageError("a sweep begins from one recipe: give one --recipe, and vary its choices")
    for name in (*varied, *rest):
        if name in _FIXED and (name in varied or name in ("folds", "fold")):
            raise UsageError(
                f"{flag(name)} decides what the best is chosen by, so it is the same for all runs "
                "of a sweep" + (": leave it out" if name.startswith("fold") else ": give one value")
            )
    if rest.get("validation_share") == 0 and "validation" not in data.splits:
        raise UsageError(
            "the best of a sweep is chosen by validation, and --validation-share 0 leaves none"
        )


def _name(row: Mapping[str, Any]) -> str:
    """Write a run's folder name: what is its own.

    >>> _name({"rate": 0.1, "model": "timm/resnet18", "arguments.width": 8})
    'rate-0.1-model-timm-resnet18-width-8'
    """
    text = "-".join(
        f"{name.removeprefix('arguments.')}-{value:g}"
        if isinstance(value, float)
        else f"{name.removeprefix('arguments.')}-{value}"
        for name, value in row.items()
    )
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:100]


def _unique(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number = sum(other == name or other.startswith(f"{name}.") for other in found)
        found.append(f"{name}.{number + 1}" if name in found else name)
    return found
