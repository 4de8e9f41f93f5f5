"""The command line: a command per file: read flags, call a function, print; exit codes."""

import os
import sys
from collections.abc import Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from cyclopts import CoercionError, CycloptsError

from striate import console, ranks, streams
from striate.errors import DataError, Stopped, UsageError

# Imported for the commands that they add. torch is slow to import: commands load it when they are
# called, --help does without.
from . import (  # noqa: F401
    atlas,
    card,
    code,
    compare,
    completion,
    data,
    describe,
    detect,
    embed,
    evaluate,
    experiment,
    explain,
    export,
    filters,
    paint,
    pooling,
    predict,
    profile,
    recipes,
    report,
    runs,
    serve,
    sweep,
    train,
    traincascade,
)
from .app import app, usual

# Commands that several processes carry out as one.
SHARED = ("train", "evaluate", "predict", "embed")

__all__ = ["app", "main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and give its exit code."""
    with streams.guarded():
        return _carried_out(arguments)


def _carried_out(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with ranks.quiet():
            _refuse_several(words)
            app(
                usual(words),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
        sys.stdout.flush()
    except CoercionError as error:
        return _failed(_unconverted(error), 2)
    except (UsageError, CycloptsError) as error:
        return _failed(error, 2)
    except DataError as error:
        return _failed(error, 1)
    except Stopped as stop:
        _complain(str(stop))
        return 128 + stop.signal
    except KeyboardInterrupt:
        _complain("stopped")
        return 130
    except streams.UnreadError:  # `striate runs | head`
        return 141
    return 0


def _refuse_several(words: Sequence[str]) -> None:
    """Raise UsageError for a command that processes started by torchrun cannot share."""
    several = ranks.started().processes
    if several > 1 and words and words[0] in app and words[0] not in SHARED:
        raise UsageError(
            f"striate {words[0]} is of one process, and torchrun started {several}: only "
            f"{', '.join(SHARED)} are shared"
        )


def run() -> None:
    """Be the `striate` command."""
    streams.reserve()
    # Threads that wait by spinning for long take the processor from other programs, and from each
    # other: beside one busy core a small training takes twice as long. Without any spinning an
    # eigen-decomposition takes three times as long. Read when torch is loaded.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    sys.exit(main())


# What a flag takes, by its type.
_WANTED = {int: "a whole number", float: "a number", bool: "true or false"}


def _unconverted(error: CoercionError) -> Exception:
    """Say what a flag takes in words, not in types; as cyclopts does where a type has none."""
    token, parts = error.token, _parts(error.target_type)
    known = all(part in _WANTED or get_origin(part) is Literal for part in parts)
    if token and token.keyword and any(get_origin(part) is dict for part in parts):
        return UsageError(f"{token.keyword} takes a name: {token.keyword}.NAME VALUE")
    if token is None or not token.keyword or not known or not _WANTED.keys() & set(parts):
        return error
    wanted = " or ".join(_WANTED.get(part) or " or ".join(get_args(part)) for part in parts)
    return UsageError(f"{token.keyword} takes {wanted}, not {token.value!r}")


def _parts(hint: Any) -> list[Any]:
    """Return the types of a union, or the type itself; without None."""
    parts = (hint,) if get_origin(hint) is Literal else get_args(hint) or (hint,)
    return [part for part in parts if part is not NoneType]


def _failed(error: Exception, status: int) -> int:
    _complain(" ".join(str(error).split()))
    return status


def _complain(line: str) -> None:
    if ranks.speaks():
        console.say(f"striate: {line}")
