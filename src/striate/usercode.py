"""Networks and data from a user's own file: `file.py:function`, saved with the run."""

import functools
import hashlib
import importlib.util
import inspect
import json
import sys
import tokenize
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from striate.errors import DataError, UsageError, choose

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
    try:
        return Reference(_text_of(path), name, dict(arguments or {}))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"cannot read {path}: {_line(error)}") from error


def reference(maker: Any) -> Reference:
    """Find the source of a function, class or functools.partial that Python handed over."""
    arguments: dict[str, Any] = {}
    if isinstance(maker, functools.partial):
        if maker.args:
            raise UsageError(
                "give functools.partial keyword arguments only: they are saved by name"
            )
        maker, arguments = maker.func, dict(maker.keywords)
        _check_can_be_saved(arguments)
    maker = inspect.unwrap(maker)  # a decorated function lies in the file of its own text
    try:
        path = inspect.getsourcefile(maker)
        source = _text_of(Path(path)) if path else ""
    except (OSError, SyntaxError, TypeError, ValueError):
        source = ""
    name = getattr(maker, "__qualname__", type(maker).__name__)
    module = sys.modules.get(getattr(maker, "__module__", None) or "")
    if not source or not hasattr(module, name):
        raise UsageError(f"{name} cannot be saved with the run: define it at the top of a file")
    return Reference(source, name, arguments)


def load(reference: Reference) -> Callable[..., Any]:
    """Execute the saved source as a module of its own and give the named function or class."""
    digest = hashlib.sha256(reference.source.encode()).hexdigest()[:16]
    module_name = f"striate_user_{digest}"
    if module_name not in sys.modules:
        _execute(reference, module_name)
    found = vars(sys.modules[module_name])
    names = [name for name, value in found.items() if callable(value) and name[0] != "_"]
    maker: Callable[..., Any] = found[
        choose("function or class of the file", reference.name, names)
    ]
    return maker


def call(reference: Reference, offered: Mapping[str, Any]) -> Any:
    """Load a function and call it with its own arguments, and those offered that it takes.

    Raises UsageError for arguments that it does not take, DataError for what fails inside it.
    """
    maker = load(reference)
    arguments = {**accepted(maker, offered), **reference.arguments}
    try:
        inspect.signature(maker).bind(**arguments)
    except TypeError as error:
        raise UsageError(f"{reference.name} cannot be called: {error}") from error
    try:
        return maker(**arguments)
    except (UsageError, DataError):
        raise
    except Exception as error:  # whatever a user's function raises is a fault of its file
        raise DataError(f"{reference.name} fails{_place(error)}: {_line(error)}") from error


def refuse_while_loading() -> None:
    """Raise if a saved file calls this while it is being loaded."""
    if _loading:
        raise UsageError(
            "this file trains when it is imported: put the call under `if __name__ == '__main__':`"
        )


def accepted(maker: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of the offered keyword arguments those that a function takes."""
    parameters = inspect.signature(maker).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(offered)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {parameter.name for parameter in parameters if parameter.kind in kinds}
    return {name: value for name, value in offered.items() if name in names}


def _execute(reference: Reference, module_name: str) -> None:
    spec = importlib.util.spec_from_loader(module_name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Known before it is executed: dataclasses look their module up.
    sys.modules[module_name] = module
    _loading.append(module_name)
    try:
        exec(compile(reference.source, _FILE, "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[module_name]
        # Whatever a user's file raises is a fault of that file, and so is leaving Python.
        if isinstance(error, UsageError) or not isinstance(error, (Exception, SystemExit)):
            raise
        raise DataError(
            f"the file of {reference.name!r} fails{_place(error)}: {_line(error)}"
        ) from error
    finally:
        _loading.pop()


# The name under which a saved source is compiled: it may have no file any more.
_FILE = "<saved source>"


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f" in line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _FILE]
    return f" in line {lines[-1]}" if lines else ""


def _line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, SyntaxError):
        text = error.msg
    return " ".join(f"{type(error).__name__}: {text}".split())


def _text_of(path: Path) -> str:
    with tokenize.open(path) as handle:  # as Python does: UTF-8 unless the file says otherwise
        return handle.read()


def _check_can_be_saved(arguments: Mapping[str, Any]) -> None:
    for name, value in arguments.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the argument {name} cannot be saved with the run: give text, numbers, true or "
                f"false, or lists of them, not {type(value).__name__}"
            ) from error
