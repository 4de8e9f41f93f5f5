"""Networks and data from a user's own file: `file.py:function`, saved with the run.

A saved source is executed in one place, `load`, and only where this user agreed to it.
"""

import functools
import hashlib
import importlib.util
import inspect
import json
import shlex
import sys
import tokenize
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from striate import trust
from striate.errors import DataError, UsageError, choose
from striate.wording import counted, printable

# Set while a saved file is executed, so that a script without a main guard cannot train again.
_loading: list[str] = []
# Checksums of what the user named or handed over in this process.
_given: set[str] = set()


class Reference(NamedTuple):
    """A function or class in a source file, and the arguments to call it with."""

    source: str  # the text of the file
    name: str  # of the function or class in it
    arguments: dict[str, Any]

    @property
    def sha256(self) -> str:
        """The checksum of all three together: what is agreed to."""
        whole = json.dumps([self.source, self.name, self.arguments], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    def __str__(self) -> str:
        """Return the name and the number of lines, as messages have them."""
        return f"{printable(self.name)[:60]}, {counted(len(self.source.splitlines()), 'lines')}"


class Consent(NamedTuple):
    """What a call says about code that a file brings: which file, and whether to trust it."""

    holder: Path | str = ""  # a run or a bundle
    trust_code: bool = False


NO_CONSENT = Consent()


def is_reference(text: str) -> bool:
    """Tell whether a text reads as `file.py:function`.

    >>> is_reference("nets/mine.py:build"), is_reference("mnist")
    (True, False)
    """
    file, _, name = text.rpartition(":")
    return file.endswith(".py") and name.isidentifier()


def read(text: str, arguments: Mapping[str, Any] | None = None) -> Reference:
    """Read `file.py:function` into a reference."""
    return given(_read(text, arguments))


def given(reference: Reference) -> Reference:
    """Note that the user named or handed over this code: here it may be executed."""
    _given.add(reference.sha256)
    return reference


def is_agreed(reference: Reference) -> bool:
    """Tell whether the user gave this code, now or, on this machine, before."""
    return reference.sha256 in _given or reference.sha256 in trust.agreed().names


def remember(references: Iterable[Reference]) -> Path:
    """Let this code be executed from now on; return the file that says so."""
    return trust.remember({one.sha256: printable(one.name) for one in references})


def remember_given(references: Iterable[Reference]) -> Path | None:
    """Remember of this code what the user gave; None where there is nothing new."""
    known = trust.agreed().names
    new = [one for one in references if one.sha256 in _given and one.sha256 not in known]
    return remember(new) if new else None


def require(text: str, arguments: Mapping[str, Any] | None, consent: Consent) -> None:
    """Raise DataError where a file of choices names code that the user has not agreed to."""
    found = _read(text, arguments)
    if not (consent.trust_code or is_agreed(found)):
        raise DataError(
            f"{quoted(consent.holder)} names Python code ({found}) that this machine has not run "
            f"before: read it, then say --model {quoted(text)} yourself, or pass --trust-code"
        )


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
    return given(Reference(source, name, arguments))


def load(reference: Reference, consent: Consent = NO_CONSENT) -> Callable[..., Any]:
    """Execute the saved source as a module of its own and give the named function or class.

    Raises DataError where the user has not agreed to it: then nothing of it was executed. What the
    file only imports cannot be named.
    """
    _permit(reference, consent)
    text = json.dumps(reference.source)  # it may hold what UTF-8 does not
    module_name = f"striate_user_{hashlib.sha256(text.encode()).hexdigest()}"
    if module_name not in sys.modules:
        _execute(reference, module_name)
    found = vars(sys.modules[module_name])
    maker = found.get(reference.name)
    if callable(maker) and not _is_own(maker, found):
        raise UsageError(
            f"{printable(reference.name)} is not defined in its file, it is {_origin(maker)}: "
            "name a function or class that the file defines"
        )
    names = [
        name
        for name, value in found.items()
        if callable(value) and name[0] != "_" and _is_own(value, found)
    ]
    chosen: Callable[..., Any] = found[
        choose("function or class of the file", reference.name, names)
    ]
    return chosen


def call(reference: Reference, offered: Mapping[str, Any], consent: Consent = NO_CONSENT) -> Any:
    """Load a function and call it with its own arguments, and those offered that it takes.

    Raises UsageError for arguments that it does not take, DataError for what fails inside it, and
    for code that the user has not agreed to.
    """
    maker = load(reference, consent)
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


def quoted(path: Path | str) -> str:
    """Return a path as a command line takes it, in one visible line."""
    return printable(shlex.quote(str(path)))


def _read(text: str, arguments: Mapping[str, Any] | None) -> Reference:
    file, _, name = text.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"no file {path} (from {text!r})")
    chosen = dict(arguments or {})
    _check_can_be_saved(chosen)
    try:
        return Reference(_text_of(path), name, chosen)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"cannot read {path}: {_line(error)}") from error


def _permit(reference: Reference, consent: Consent) -> None:
    if consent.trust_code or is_agreed(reference):
        return
    distrust = trust.agreed().distrust
    run = quoted(consent.holder) if consent.holder else "RUN"
    raise DataError(
        f"{run} carries Python code ({reference}) that this machine has not run before: read it "
        f"with `striate code {run}`, then pass --trust-code (trust_code=True in Python), or accept "
        f"it for good with `striate code {run} --remember`" + (f" ({distrust})" if distrust else "")
    )


def _is_own(found: Any, file: Mapping[str, Any]) -> bool:
    """Tell whether a file itself defines what it calls by a name, and has not only imported it."""
    if isinstance(found, functools.partial):
        return _is_own(found.func, file)
    if isinstance(found, MethodType):
        return _is_own(found.__func__, file)
    if isinstance(found, FunctionType) and found.__globals__ is file:
        return True
    wrapped = vars(found).get("__wrapped__") if hasattr(found, "__dict__") else None
    if wrapped is not None:  # a library's decorator around the file's own function
        return _is_own(wrapped, file)
    kind = found if isinstance(found, type) else type(found)
    return bool(kind.__module__ == file["__name__"])


def _origin(found: Any) -> str:
    if isinstance(found, functools.partial):
        return f"functools.partial of {_origin(found.func)}"
    home = getattr(found, "__module__", None) or type(found).__module__
    name = getattr(found, "__qualname__", type(found).__name__)
    return printable(f"{name} of the module {home}")


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
            if _holds_none(value):  # a recipe's TOML has no word for it
                raise ValueError
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the argument {name} cannot be saved with the run: give text, numbers, true or "
                f"false, or lists of them, not {type(value).__name__}"
            ) from error


def _holds_none(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value
    return value is None or (
        isinstance(value, (dict, list, tuple)) and any(map(_holds_none, inside))
    )
