"""Flags of the command line, made from a dataclass of choices; and the choices read back."""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from striate.choices import flag
from striate.errors import UsageError, choose


def flags_of(
    choices: type[Any],
    groups: Mapping[str, Group],
    usual: Mapping[str, Group] = MappingProxyType({}),
) -> type[Any]:
    """Make a dataclass of optional fields from one of choices: None stands for "not given".

    `groups` has the first field of each group of flags, in the order of the fields; `usual` has
    fields that are shown apart from theirs.
    """
    hints = get_type_hints(choices)
    group = None
    fields = []
    for f in dataclasses.fields(choices):
        group = groups.get(f.name, group)
        parameter = Parameter(
            help=f.metadata["help"] + _known(f),
            show_default=False,
            metavar=_metavar(hints[f.name], f),
            show_choices=False,
            group=usual.get(f.name, group),
        )
        # With None also for tables: once pydantic is imported, cyclopts checks defaults too.
        kind = (dict[str, str] if get_origin(hints[f.name]) is Mapping else hints[f.name]) | None
        if word := f.metadata.get("word"):
            kind = kind | Literal[word]
        fields.append((f.name, Annotated[kind, parameter], dataclasses.field(default=None)))
    # cyclopts takes classes of the module `types`, make_dataclass's own, for built in.
    home = {"__module__": __name__}
    return dataclasses.make_dataclass(
        f"{choices.__name__}Flags", fields, frozen=True, namespace=home
    )


def _metavar(kind: Any, f: "dataclasses.Field[Any]") -> str | None:
    """Write what a flag that also takes a word is followed by; None: as the others."""
    word = f.metadata.get("word")
    return f"{kind.__name__.upper()}|{word}" if word else None


def lists_of(
    choices: type[Any],
    groups: Mapping[str, Group],
    usual: Mapping[str, Group] = MappingProxyType({}),
) -> type[Any]:
    """Make the dataclass that `flags_of` makes, of texts in which commas part several values."""
    fields = []
    for f in dataclasses.fields(flags_of(choices, groups, usual)):
        kind, parameter = get_args(f.type)
        texts = kind if kind == dict[str, str] | None else str | None
        plain = Parameter(help=parameter.help, show_default=False, group=parameter.group)
        fields.append((f.name, Annotated[texts, plain], dataclasses.field(default=None)))
    home = {"__module__": __name__}
    return dataclasses.make_dataclass(
        f"{choices.__name__}Lists", fields, frozen=True, namespace=home
    )


def listed(flags: Any, choices: type[Any]) -> dict[str, Any]:
    """Read the flags of `lists_of` that were given: a value, or a list where there are commas."""
    if flags is None:
        return {}
    hints = get_type_hints(choices)
    found: dict[str, Any] = {}
    for f in dataclasses.fields(flags):
        text = getattr(flags, f.name)
        if isinstance(text, dict):
            found[f.name] = {name: _each(part, value) for name, part in text.items()}
        elif text is not None:
            kinds = get_args(hints[f.name]) or (hints[f.name],)
            found[f.name] = _each(text, functools.partial(_read, f.name, kinds))
    return found


def _each(text: str, read: Callable[[str], Any]) -> Any:
    """Read what stands between commas; those within brackets part nothing."""
    parts = [part.strip() for part in _COMMA.split(text)]
    return read(parts[0]) if len(parts) == 1 else [read(part) for part in parts]


def _read(name: str, kinds: Sequence[type], text: str) -> Any:
    for kind, read in _READ.items():
        if kind in kinds:
            try:
                return read(text)
            except (ValueError, KeyError):
                raise UsageError(f"{flag(name)} takes {_SPOKEN[kind]}, not {text!r}") from None
    return text


_COMMA = re.compile(r",(?![^\[]*\])")
_SPOKEN = {bool: "true or false", int: "whole numbers", float: "numbers"}
_READ: dict[type, Callable[[str], Any]] = {
    bool: {"true": True, "false": False, "yes": True, "no": False}.__getitem__,
    int: int,
    float: float,
}


def _known(f: "dataclasses.Field[Any]") -> str:
    """Write what a choice is where it is not given."""
    default = f.metadata["shown"] or f.default
    return (
        ""
        if default in (None, dataclasses.MISSING) or default is False
        else f" [default: {default}]"
    )


def given(flags: Any) -> dict[str, Any]:
    """Keep the flags that were given."""
    if flags is None:
        return {}
    pairs = ((f.name, getattr(flags, f.name)) for f in dataclasses.fields(flags))
    return {
        name: {k: value(v) for k, v in chosen.items()} if isinstance(chosen, dict) else chosen
        for name, chosen in pairs
        if chosen is not None
    }


def value(text: str) -> Any:
    """Read a network's argument as TOML does: a number, true, a string."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def from_file(path: Path | None, choices: type[Any]) -> dict[str, Any]:
    """Read choices from a TOML file of flags: `batch_size = 64`."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    names = [f.name for f in dataclasses.fields(choices)]
    for name in found:
        choose(f"setting in {path}", name, names)
    return found
