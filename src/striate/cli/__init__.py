"""The command line: a command per file: read flags, call a function, print; exit codes."""

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from striate import console, streams
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

__all__ = ["app", "main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and give its exit code."""
    with streams.guarded():
        return _carried_out(arguments)


def _carried_out(arguments: Sequence[str] | None) -> int:
    try:
        app(
            usual(sys.argv[1:] if arguments is None else arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
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


def run() -> None:
    """Be the `striate` command."""
    streams.reserve()
    # Threads that wait by spinning for long take the processor from other programs, and from each
    # other: beside one busy core a small training takes twice as long. Without any spinning an
    # eigen-decomposition takes three times as long. Read when torch is loaded.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    sys.exit(main())


def _failed(error: Exception, status: int) -> int:
    _complain(" ".join(str(error).split()))
    return status


def _complain(line: str) -> None:
    console.say(f"striate: {line}")
