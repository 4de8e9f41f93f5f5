"""Errors of the user's: a wrong request, data that cannot be used, a stop by a signal."""

import difflib
from collections.abc import Iterable

# What other programs and other spellings call our choices and their values.
SYNONYMS = {
    "lr": "rate",
    "learning_rate": "rate",
    "bs": "batch_size",
    "wd": "weight_decay",
    "arch": "model",
    "network": "model",
    "opt": "optimiser",
    "optim": "optimiser",
    "optimizer": "optimiser",
    "color": "colour",
    "normalize": "normalise",
    "lr_schedule": "schedule",
    "lr_scheduler": "schedule",
    "scheduler": "schedule",
    "grad_clip": "clip",
    "smoothing": "label_smoothing",
    "image_size": "size",
    "img_size": "size",
    "imgsz": "size",
    "early_stopping": "patience",
    "num_workers": "workers",
    "output": "out",
    "output_dir": "out",
    "adam": "adamw",
    "bf16": "bfloat16",
    "fp32": "float32",
    "gpu": "cuda",
    "gray": "grey",
    "grayscale": "grey",
    "greyscale": "grey",
}
# Names in one message; a library has more than a thousand networks.
SHOWN = 40


class UsageError(Exception):
    """The request is wrong: an unknown name, a value out of range, a folder in the way."""


class DataError(Exception):
    """The request is right but what it reads or writes is not: files, disks, numbers."""


class Stopped(KeyboardInterrupt):
    """A signal ended the work after its state was saved; `signal` is its number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


def choose(kind: str, given: str, allowed: Iterable[str]) -> str:
    """Return `given` if it is allowed; else say which names are near, or which there are.

    >>> choose("filter", "box", ["box", "bilinear"])
    'box'
    """
    names = list(allowed)
    if given in names:
        return given
    close = _near(str(given), names)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    listing = f"choose one of {', '.join(names[:SHOWN])}{more}" if names else "there is none"
    raise UsageError(f"unknown {kind} {given!r}: {hint}{listing}")


def _near(given: str, names: Iterable[str]) -> list[str]:
    """List the names that may have been meant: a synonym, else those that are spelt alike."""
    by_lower = {name.lower(): name for name in names}
    synonym = SYNONYMS.get(given.lower().replace("-", "_"))
    if synonym in by_lower:
        return [by_lower[synonym]]
    return [by_lower[name] for name in difflib.get_close_matches(given.lower(), by_lower, n=3)]
