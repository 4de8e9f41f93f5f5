"""The command line's flags, made from the recipe; and the choices read back from them."""

import dataclasses
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from cyclopts import Group, Parameter

from striate.errors import UsageError
from striate.training import recipe as recipes
from striate.training.recipe import Recipe

# The first field of each group in the recipe's order, and the group's title.
_GROUPS = {
    "model": "Training",
    "size": "Preprocessing",
    "sample_rate": "Sounds and clips",
    "crop_padding": "Augmentation, in training only",
    "validation_share": "Splits and seeds",
}


def _make() -> type:
    """Make a dataclass of optional fields from the recipe's: None stands for "not given"."""
    hints = get_type_hints(Recipe)
    empty = Recipe()
    fields = []
    for f in dataclasses.fields(Recipe):
        default = f.metadata["shown"] or getattr(empty, f.name)
        known = "" if default in (None, {}) or default is False else f" [default: {default}]"
        parameter = Parameter(
            help=f.metadata["help"] + known, show_default=False, group=_group(f.name)
        )
        kind = dict[str, str] if f.name == "arguments" else hints[f.name] | None
        fields.append((f.name, Annotated[kind, parameter], dataclasses.field(default=None)))
    # cyclopts takes classes of the module `types`, make_dataclass's own, for built in.
    home = {"__module__": __name__}
    return dataclasses.make_dataclass("Flags", fields, frozen=True, namespace=home)


def _group(name: str) -> Group:
    before = recipes.names()[: recipes.names().index(name) + 1]
    first = [field for field in before if field in _GROUPS][-1]
    return Group(_GROUPS[first], sort_key=4 + list(_GROUPS).index(first))


if TYPE_CHECKING:
    Flags = Any
else:
    Flags = _make()


def given(flags: Any) -> dict[str, Any]:
    """Keep the flags that were given."""
    if flags is None:
        return {}
    pairs = ((f.name, getattr(flags, f.name)) for f in dataclasses.fields(flags))
    chosen = {name: value for name, value in pairs if value is not None}
    if "arguments" in chosen:
        chosen["arguments"] = {k: value(v) for k, v in chosen["arguments"].items()}
    return chosen


def value(text: str) -> Any:
    """Read a network's argument as TOML does: a number, true, a string."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def from_file(path: Path | None) -> dict[str, Any]:
    """Read choices from a TOML file of flags: `batch_size = 64`."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    recipes.check_names(found, where=str(path))
    return found
