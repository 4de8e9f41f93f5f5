"""Every choice of a painting, in one frozen dataclass."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.errors import UsageError, choose

from .losses import LOSSES

COLOURS = ("style", "keep", "linear")
OPTIMISERS = ("lbfgs", "adam")
STARTS = ("content", "noise")
PRECISIONS = ("auto", "float32", "bfloat16")
# At strength 0.6 the content weighs a tenth of the style: the painting's strokes, the photograph's
# things. Squared, so that the ends of the scale reach an untouched picture and pure texture.
BALANCE = 0.225


@dataclass(frozen=True)
class Settings:
    """What decides how a picture will look; how long it may take is a `Budget`."""

    size: int = 512
    strength: float = 0.6
    loss: str = "w2"
    colour: str = "style"
    style_scale: float = 1.0
    smoothness: float = 0.0
    start: str = "content"
    optimiser: str = "lbfgs"
    precision: str = "auto"  # of the convolutions
    model: str = "vgg19"
    style_layers: str = ""  # names with commas between; the network's usual ones where empty
    content_layer: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what can mean nothing."""
        choose("style loss", self.loss, LOSSES)
        choose("colour", self.colour, COLOURS)
        choose("start", self.start, STARTS)
        choose("optimiser", self.optimiser, OPTIMISERS)
        choose("precision", self.precision, PRECISIONS)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:  # NaN is in no range
                flag = "--" + name.replace("_", "-")
                raise UsageError(f"{flag} lies in {low:g} to {high:g}, not {value:g}")

    @property
    def style_names(self) -> tuple[str, ...]:
        """The activations that style is taken from; none: the network's usual ones."""
        return tuple(name.strip() for name in self.style_layers.split(",") if name.strip())

    @property
    def weights(self) -> tuple[float, float, float]:
        """The weights of style, content and smoothness, all of them losses relative to one."""
        content = BALANCE * ((1 - self.strength) / self.strength) ** 2
        return 1.0, content, self.smoothness


_RANGES: dict[str, tuple[float, float]] = {
    "size": (16, 16_384),
    "strength": (0.01, 1),
    "style_scale": (0.05, 10),
    "smoothness": (0, 100),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class Budget:
    """What a painting may cost: seconds until it is done and bytes of memory; None: no limit."""

    seconds: float | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can mean nothing."""
        for value, name in ((self.seconds, "--time"), (self.memory, "--memory")):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name} is more than 0, not {value:g}")


def from_table(table: Mapping[str, Any]) -> Settings:
    """Make settings from what was saved; a key that is none is a UsageError."""
    known = [field.name for field in dataclasses.fields(Settings)]
    for key in table:
        choose("setting of a painting", key, known)
    return Settings(**table)


def seconds(text: str) -> float:
    """Read a time.

    >>> seconds("90"), seconds("1.5m"), seconds("2h")
    (90.0, 90.0, 7200.0)
    """
    return _quantity(text, {"s": 1, "m": 60, "h": 3600}, "a time like 60s, 5m or 1h")


def size_in_bytes(text: str) -> int:
    """Read an amount of memory.

    >>> size_in_bytes("4G") == 4 * 1024**3
    True
    """
    steps = {"K": 2**10, "M": 2**20, "G": 2**30}
    return int(_quantity(text.upper().removesuffix("B"), steps, "an amount like 900M or 4G"))


def _quantity(text: str, units: Mapping[str, float], wanted: str) -> float:
    known = text[-1:] in units
    try:
        value = float(text[:-1] if known else text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{text!r} is not {wanted}")
    return value * (units[text[-1]] if known else 1)
