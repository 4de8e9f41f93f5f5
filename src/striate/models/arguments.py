"""What a builder may be asked for: its keyword-only arguments, checked by their annotations."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from striate.errors import UsageError, choose


def defaults(builder: Callable[..., Any]) -> dict[str, Any]:
    """List the choices of a builder with their defaults."""
    return {p.name: p.default for p in _choices(builder)}


def check(model: str, builder: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse what a builder does not take; UsageError says what it does take."""
    kinds = {p.name: p.annotation for p in _choices(builder)}
    for name, value in given.items():
        kind = kinds[choose(f"argument of {model}", name, kinds)]
        if get_origin(kind) is Literal:
            choose(f"{name} of {model}", value, get_args(kind))
        elif not _fits(value, kind):
            raise UsageError(f"{name} of {model} is {_spoken(kind)}, not {value!r}")
    if not 0 <= given.get("dropout", 0) < 1:
        raise UsageError(f"dropout of {model} lies in 0 to 1, below 1, not {given['dropout']}")


def _choices(builder: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(builder).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY]


def _fits(value: Any, kind: Any) -> bool:
    """Tell whether a value is of a kind: bool, float, int or int | None, and then 1 or more."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return isinstance(value, (int, float))
    return isinstance(value, int) and value >= 1


def _spoken(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    return "a number" if kind is float else "a whole number from 1"
