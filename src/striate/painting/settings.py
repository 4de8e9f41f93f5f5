"""Every choice of a painting with its default, help text and range; and what it may cost."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.choices import check_ranges, choice
from striate.errors import UsageError, choose

LOSSES = ("gram", "w2", "moments", "sliced")
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

    size: int = choice(512, "Long side in pixels.")
    strength: float = choice(0.6, "0 is the photograph, 1 the painting's texture alone.")
    colour: str = choice(
        "style",
        "style: the painting's; keep: the photograph's; linear: the painting's strokes in the "
        "photograph's range of colours.",
    )
    style_scale: float = choice(1.0, "Size of the strokes: 2 makes them twice as large.")
    smoothness: float = choice(0.0, "Weight of total variation against grain.")
    loss: str = choice("w2", "gram, w2, moments or sliced.")
    start: str = choice("content", "content or noise.")

    model: str = choice(
        "vgg19",
        "vgg19, vgg16, torchvision/NAME, timm/NAME, a run's folder, or our own by name.",
    )
    style_layers: str = choice(
        "",
        "Activations for style, as in relu1_1,relu2_1.",
        shown="the network's usual",
    )
    content_layer: str = choice("", "Activation for content.", shown="the network's usual")
    precision: str = choice(
        "auto",
        "Of the convolutions: auto (bfloat16 where the processor has it), float32 or bfloat16.",
    )
    optimiser: str = choice("lbfgs", "lbfgs or adam.")
    seed: int = choice(0, "Seed of the noise.")

    def __post_init__(self) -> None:
        """Refuse what can mean nothing."""
        choose("style loss", self.loss, LOSSES)
        choose("colour", self.colour, COLOURS)
        choose("start", self.start, STARTS)
        choose("optimiser", self.optimiser, OPTIMISERS)
        choose("precision", self.precision, PRECISIONS)
        check_ranges(self, _RANGES)

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
