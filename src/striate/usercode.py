"""Networks and data from a user's own file: `file.py:function`, saved with the run."""

import functools
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from striate.errors import DataError, UsageError

# Set while a saved file is executed, so that a script without a main guard cannot train again.
_loading: list[str] = []


class Reference(NamedTuple):
    """A function or class in a source file, and the arguments to call it with."""

    source: str  # the text of the file
    name: str  # of the function or class in it
    arguments: dict[str, Any]


def is_reference(text: str) -> bool:
    """Tell whether a text reads as `file.py:function`.

    >>> is_reference("nets/mine.py:build"), is_reference("mnist")
    (True, False)
    """
    file, _, name = text.rpartition(":")
    return file.endswith(".py") and name.isidentifier()


def read(text: str, arguments: Mapping[str, Any] | None = None) -> Reference:
    """Read `file.py:function` into a reference."""
    file, _, name = text.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"no file {path} (from {text!r})")
    return Reference(path.read_text(), name, dict(arguments or {}))


def reference(maker: Callable[..., Any]) -> Reference:
    """Find the source of a function, class or functools.partial that Python handed over."""
    keywords = {}
    if isinstance(maker, functools.partial):
        if maker.args:
            raise UsageError("give functools.partial keyword arguments only: they are saved by name")
        maker, keywords = maker.func, dict(maker.keywords)
    try:
        path = inspect.getsourcefile(maker)
        source = Path(path).read_text() if path else ""
    except (OSError, TypeError):
        source = ""
    name = getattr(maker, "__qualname__", "")
    if not source or not name.isidentifier():
        raise UsageError(
            f"{name or maker!r} cannot be saved with the run: define it at the top of a file"
        )
    return Reference(source, name, keywords)


def load(reference: Reference) -> Callable[..., Any]:
    """Execute the saved source as a module of its own and give the named function or class."""
    digest = hashlib.sha256(reference.source.encode()).hexdigest()[:16]
    module_name = f"striate_user_{digest}"
    module = sys.modules.get(module_name)
    if module is None:
        spec = importlib.util.spec_from_loader(module_name, loader=None)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        _execute(reference, module_name, module.__dict__)
        sys.modules[module_name] = module
    found = getattr(module, reference.name, None)
    if not callable(found):
        raise UsageError(f"the file has no function or class {reference.name!r}")
    return found  # type: ignore[no-any-return]


def refuse_while_loading() -> None:
    """Raise if a saved file calls this while it is being loaded."""
    if _loading:
        raise UsageError(
            "this file trains when it is imported: put the call under `if __name__ == '__main__':`"
        )


def _execute(reference: Reference, module_name: str, namespace: dict[str, Any]) -> None:
    _loading.append(module_name)
    try:
        exec(compile(reference.source, f"<{reference.name}'s file>", "exec"), namespace)
    except UsageError:
        raise
    except Exception as error:  # whatever a user's file raises is a fault of that file
        kind = type(error).__name__
        raise DataError(f"the file of {reference.name!r} fails: {kind}: {error}") from error
    finally:
        _loading.pop()


def accepted(maker: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of the offered keyword arguments those that a function takes."""
    parameters = inspect.signature(maker).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(offered)
    names = {p.name for p in parameters if p.kind is not p.POSITIONAL_ONLY}
    return {name: value for name, value in offered.items() if name in names}
