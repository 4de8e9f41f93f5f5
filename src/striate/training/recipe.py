"""Every choice of a training, with its default and its help, in one frozen dataclass."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from striate.choices import check_ranges, choice, flag
from striate.epochs import METRICS
from striate.errors import UsageError, choose

OPTIMISERS = ("sgd", "adamw", "muon")
SCHEDULES = ("one-cycle", "cosine", "linear", "step", "constant")
PRECISIONS = ("auto", "fast", "float32", "bfloat16")
NORMALISATIONS = ("dataset", "picture", "sound", "zca", "none", "imagenet")
COLOURS = ("auto", "grey", "rgb")
CLASS_WEIGHTS = ("none", "root", "balanced")
SAMPLINGS = ("natural", "balanced")
STATISTICS = ("global", "rank")
POLICIES = ("none", "trivial-wide", "rand-augment")
# Where the defaults depart for an optimiser.
OF_OPTIMISER: dict[str, Mapping[str, Any]] = {
    "adamw": {"rate": 2e-3},
    "muon": {"rate": 0.02, "momentum": 0.95},
}
# The rate at a step of these does not depend on how many steps follow: such a run can be prolonged.
PROLONGABLE = ("step", "constant")


@dataclass(frozen=True)
class Recipe:
    """Every choice of a training, resolved: what a run saves as recipe.toml."""

    model: str = choice(
        "convnet",
        "Network: a name (`striate models` lists them), torchvision/NAME, timm/NAME or "
        "file.py:function.",
        shown="convnet; audio-convnet for sounds, r3d for clips",
    )
    arguments: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Arguments of the network, as in --arguments.width 64.", "shown": ""},
    )
    recipe: str | None = choice(
        None,
        "Named recipe for this data (`striate recipes` lists them); other flags win over it.",
    )
    pretrained: bool = choice(False, "Start from the published weights of the network.")
    weights: str | None = choice(
        None, "Start from these: a run, a .safetensors or a .pth file (read weights-only)."
    )
    freeze: bool = choice(
        False,
        "Teach the head alone, the last layer; the others stay as they were loaded.",
        shown="yes for torchvision/ and timm/ with weights",
    )
    unfreeze_at: int | None = choice(
        None, "Teach the head alone for this many epochs, then all layers."
    )
    backbone_rate: float = choice(
        1.0,
        "Share of the rate at which the layers before the head learn.",
        shown="0.05 with weights, else 1",
    )
    layer_decay: float = choice(
        1.0, "Share of the rate that each block before the head has of the block after it."
    )

    epochs: int = choice(
        10, "Passes over the training pictures.", shown="600,000 pictures' worth, 5 to 60"
    )
    batch_size: int = choice(
        128,
        "Pictures a step, or auto: as many as memory has room for, by its prediction.",
        word="auto",
    )
    accumulate: int = choice(
        1, "Batches whose gradients are added up to one step, as of a batch so many times as large."
    )
    optimiser: str = choice(
        "sgd",
        "sgd (with Nesterov momentum), adamw, or muon (orthogonal steps of filters and matrices, "
        "adamw for the rest).",
    )
    rate: float = choice(
        0.1,
        "Peak learning rate, or find: try rising ones, print one, train nothing.",
        shown="0.1 for sgd, 0.002 for adamw, 0.02 for muon",
        word="find",
    )
    norm_rate: float = choice(
        1.0, "Share of the rate for the scales and shifts of norms: they can take a far higher one."
    )
    momentum: float = choice(
        0.9, "Momentum of sgd and muon: Nesterov's, unless 0.", shown="0.9, for muon 0.95"
    )
    muon_ends: bool = choice(False, "muon also for the first and the last layer with weights.")
    weight_decay: float = choice(5e-4, "Decay of weights; norms and biases have none.")
    schedule: str = choice("one-cycle", "one-cycle, cosine, linear, step or constant.")
    warmup: float = choice(
        0.0, "Epochs of linear warm-up.", shown="a quarter of a one-cycle, else 0"
    )
    step_epochs: int = choice(10, "Epochs between two drops of the step schedule.")
    step_factor: float = choice(0.1, "What each drop multiplies the rate by.")
    label_smoothing: float = choice(0.05, "Share of each target spread over all classes.")
    focal: float = choice(
        0.0, "Focal loss: what is known already counts less, by this power; 0: not, 2 is usual."
    )
    class_weights: str = choice(
        "none",
        "Weights of rare classes in the loss: balanced (the inverse of a class's count), root (of "
        "the count's root) or none.",
    )
    sampling: str = choice(
        "natural",
        "natural, or balanced: an epoch shows all classes equally often, rare pictures repeatedly.",
    )
    clip: float | None = choice(None, "Largest norm of the gradient; above it, scaled down.")
    ema: float = choice(
        0.0,
        "Evaluate and save a mean of the weights, of which this share stays in a step: 0.999 is "
        "usual; 0: none.",
    )
    batch_statistics: str = choice(
        "global",
        "Of several processes (torchrun): batch norms see the whole batch (global), or each "
        "process's part (rank: fewer messages, another result).",
    )
    precision: str = choice(
        "auto",
        "auto (bfloat16 on a GPU, else float32), fast (bfloat16 also on CPUs with instructions for "
        "it: about twice as fast for wide networks), float32 or bfloat16.",
    )
    patience: int | None = choice(
        None,
        "Stop after this many epochs none of which is better, by --monitor on validation.",
    )
    monitor: str = choice(
        "accuracy",
        "What chooses the epoch that is kept, on validation: accuracy, loss or balanced-accuracy "
        "(the mean recall of the classes); of equals the smaller loss.",
    )

    size: int = choice(
        32,
        "Side of the square that the network sees, in pixels.",
        shown="the pictures' own up to 64, else 128; torchvision/ and timm/: as published",
    )
    progressive: float = choice(
        1.0,
        "Progressive resizing: start with pictures of this share of the side, in eighths, and "
        "enlarge them step by step; 0.5 to 0.75 save time, 1: off.",
    )
    progressive_until: float = choice(
        0.5, "With --progressive: share of the training after which pictures have their full size."
    )
    fit: str = choice("crop", "How a picture becomes square: crop, stretch or pad.")
    share: float = choice(1.0, "Share of the resized picture that the crop keeps per side.")
    filter: str = choice(
        "bilinear", "Antialiased resize: nearest, box, bilinear, hamming, bicubic or lanczos."
    )
    colour: str = choice("auto", "grey, rgb, or auto: grey where all the pictures are.")
    normalise: str = choice(
        "dataset",
        "dataset (mean and std of the training pictures), picture, sound, zca, none or imagenet.",
        shown="dataset; sound for sounds",
    )
    max_megapixels: float = choice(
        50.0,
        "Largest picture that is decoded, in millions of pixels; a larger JPEG is decoded at 1/2, "
        "1/4 or 1/8 where that is enough.",
    )

    sample_rate: int | None = choice(
        None, "Samples a second, in Hz.", shown="the sounds' own up to 16000"
    )
    seconds: float | None = choice(
        None,
        "Length that is heard of a sound: its loudest stretch.",
        shown="that of all but one in fifty, at most 4",
    )
    mels: int | None = choice(None, "Mel bands of a spectrogram.", shown="40")
    frames: int | None = choice(
        None,
        "Frames of a clip, spread over its time; 1: the middle one, for networks of pictures.",
        shown="the clips' own up to 16",
    )

    crop_padding: int = choice(
        0,
        "Random crop after padding by this many pixels.",
        shown="an eighth of the side for colour, a fourteenth for grey, at least 1",
    )
    flip: bool = choice(False, "Mirror half of the training pictures.", shown="colour yes, grey no")
    brightness: float = choice(0.0, "Random brightness: factors in 1 - s to 1 + s.")
    contrast: float = choice(0.0, "Random contrast: factors in 1 - s to 1 + s.")
    saturation: float = choice(0.0, "Random saturation: factors in 1 - s to 1 + s.")
    hue: float = choice(0.0, "Random turn of the colour circle, at most this share (0.5 is all).")
    rotate: float = choice(
        0.0, "Random rotation, at most this many degrees.", shown="10 for grey, 0 for colour"
    )
    translate: float = choice(0.0, "Random shift, at most this share of the side.")
    zoom: float = choice(
        0.0, "Random scale, in 1 - z to 1 + z.", shown="0.1 for grey, 0 for colour"
    )

    alternate_flip: bool = choice(
        False, "With --flip: each picture is mirrored in every other epoch, not by chance."
    )
    resized_crop: float = choice(
        0.0,
        "Random part of the picture, enlarged: at least this share of its area (0.08 is usual), "
        "sides of 3:4 to 4:3; 0: none.",
    )
    policy: str = choice(
        "none",
        "none, trivial-wide (TrivialAugment: one random operation a picture) or rand-augment.",
    )
    policy_operations: int = choice(2, "Operations of rand-augment on a picture.")
    policy_magnitude: int = choice(9, "Strength of rand-augment, 0 to 30.")
    cutout: float = choice(
        0.0, "Cover a random square of this side, a share of the picture's, by its mean colour."
    )
    erase: float = choice(
        0.0, "Cover a random box (2 to 33 % of the area) of this share of the pictures."
    )
    mixup: float = choice(
        0.0,
        "Add another picture and its label by a share of Beta(a, a): 0 never, 0.2 is usual for "
        "photos.",
    )
    cutmix: float = choice(
        0.0,
        "Paste a box of another picture, and so much of its label, by Beta(a, a): 1 is usual. With "
        "--mixup each takes half of the pictures.",
    )

    shift: float = choice(
        0.0, "Sounds earlier or later, at most this share of the length.", shown="0.1 for sounds"
    )
    speed: float = choice(
        0.0, "Sounds faster or slower: factors in 1 - s to 1 + s.", shown="0.15 for sounds"
    )
    tilt: float = choice(
        0.0, "Sounds with more treble or more bass, t below 1.", shown="0.7 for sounds"
    )
    noise: float = choice(
        0.0, "White noise, at most this share of a sound's loudness.", shown="0.05 for sounds"
    )

    validation_share: float = choice(
        0.1,
        "Share of the training split kept for validation where the data bring none; "
        "0: none, and the last epoch is the result.",
    )
    test_share: float = choice(
        0.2, "Share of the pictures kept for the test where the data have no splits; 0: none."
    )
    split_seed: int = choice(0, "Seed of the splits that are made here.")
    folds: int | None = choice(
        None,
        "Cross-validation: the training split in so many parts, each held out once for validation; "
        "the test split is left alone. Without --fold a group of as many runs.",
    )
    fold: int | None = choice(None, "Which of the --folds is held out, from 1: one run.")
    seed: int = choice(0, "Seed of initial weights, order, augmentation and dropout.")
    deterministic: bool = choice(False, "Use only algorithms that give the same bits each time.")

    @property
    def step_size(self) -> int:
        """Pictures a step."""
        return self.batch_size * self.accumulate

    def __post_init__(self) -> None:
        """Refuse what can mean nothing."""
        choose("optimiser", self.optimiser, OPTIMISERS)
        choose("schedule", self.schedule, SCHEDULES)
        choose("precision", self.precision, PRECISIONS)
        choose("colour", self.colour, COLOURS)
        choose("normalisation", self.normalise, NORMALISATIONS)
        choose("metric", self.monitor, METRICS)
        choose("policy", self.policy, POLICIES)
        choose("class weights", self.class_weights, CLASS_WEIGHTS)
        choose("sampling", self.sampling, SAMPLINGS)
        choose("batch statistics", self.batch_statistics, STATISTICS)
        if self.sampling == "balanced" and self.class_weights != "none":
            raise UsageError(
                f"--sampling balanced shows all classes equally often, and --class-weights "
                f"{self.class_weights} would favour the rare ones a second time: give one of them"
            )
        if self.freeze and self.unfreeze_at is not None:
            raise UsageError(
                f"--freeze keeps all but the head as loaded to the end, --unfreeze-at "
                f"{self.unfreeze_at} does not: give one of them, or --no-freeze"
            )
        check_ranges(self, _RANGES)
        _check_fold(self.folds, self.fold)


def _check_fold(folds: int | None, fold: int | None) -> None:
    if fold is not None and folds is None:
        raise UsageError(f"--fold {fold} is one of several: give --folds as well")
    if folds is not None and not 1 <= (fold or 0) <= folds:
        wrong = "" if fold is None else f", not {fold}"
        raise UsageError(f"of --folds {folds}, --fold is 1 to {folds}{wrong}")


_RANGES: dict[str, tuple[float, float]] = {
    "unfreeze_at": (0, 100_000),
    "backbone_rate": (0, 1000),
    "layer_decay": (0.001, 1),
    "epochs": (1, 100_000),
    "batch_size": (1, 1_000_000),
    "accumulate": (1, 100_000),
    "rate": (0, 1000),
    "norm_rate": (0, 1000),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 100),
    "warmup": (0, 100_000),
    "step_epochs": (1, 100_000),
    "step_factor": (0, 1),
    "label_smoothing": (0, 0.99),
    "clip": (1e-12, 1e12),
    "ema": (0, 0.999999),
    "patience": (1, 100_000),
    "focal": (0, 10),
    "resized_crop": (0, 1),
    "policy_operations": (1, 8),
    "policy_magnitude": (0, 30),
    "cutout": (0, 1),
    "erase": (0, 1),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "size": (1, 16_384),
    "progressive": (0.125, 1),
    "progressive_until": (0.01, 1),
    "share": (0.01, 1),
    "max_megapixels": (0.000001, 10_000),
    "sample_rate": (1000, 384_000),
    "seconds": (0.01, 600),
    "mels": (1, 1024),
    "frames": (1, 10_000),
    "validation_share": (0, 0.9),
    "test_share": (0, 0.9),
    "split_seed": (0, 2**63 - 1),
    "folds": (2, 1000),
    "seed": (0, 2**63 - 1),
}


def names() -> list[str]:
    """List the recipe's fields."""
    return [f.name for f in dataclasses.fields(Recipe)]


# They say how a change is done, not whether.
_DETAILS = ("alternate_flip", "policy_operations", "policy_magnitude")


def change_names() -> list[str]:
    """List the fields that are random changes of examples in training."""
    every = names()
    return every[every.index("crop_padding") : every.index("validation_share")]


def changed_kinds(name: str) -> tuple[str, ...]:
    """Tell which examples a field can change: all kinds, where it is no augmentation.

    >>> changed_kinds("cutmix"), changed_kinds("tilt")
    (('pictures', 'clips'), ('sounds',))
    """
    every = names()
    first, middle, last = map(every.index, ("crop_padding", "shift", "validation_share"))
    place = every.index(name)
    if name == "mixup" or not first <= place < last:
        return ("pictures", "sounds", "clips")
    if name.startswith("policy"):
        return ("pictures",)
    return ("pictures", "clips") if place < middle else ("sounds",)


def augmentations(recipe: Recipe, kind: str) -> list[str]:
    """List the random changes of such examples that a recipe asks for.

    >>> augmentations(Recipe(flip=True, noise=0.1), "pictures")
    ['flip']
    """
    plain = Recipe()
    return [
        name
        for name in change_names()
        if kind in changed_kinds(name)
        and name not in _DETAILS
        and getattr(recipe, name) != getattr(plain, name)
    ]


def check_names(given: Mapping[str, Any], *, where: str) -> None:
    """Raise UsageError for a key that is no choice of a training, naming the near ones."""
    for key in given:
        choose(f"setting in {where}", key, names())


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for an argument of a network that a recipe cannot hold."""
    for name, value in arguments.items():
        try:
            tomli_w.dumps({name: value})
        except TypeError as error:
            raise UsageError(
                f"the network's argument {name} cannot be saved with the run: give text, numbers, "
                f"true or false, or lists of them, not {type(value).__name__}, or leave it out"
            ) from error


def resolve(
    given: Mapping[str, Any], preset: Mapping[str, Any], facts: Mapping[str, Any]
) -> Recipe:
    """Make the recipe: what was given, else the model's preset, else what the data suggest."""
    chosen = {**facts, **preset, **given}
    recipe = _recipe({**OF_OPTIMISER.get(str(chosen.get("optimiser")), {}), **chosen})
    if "warmup" not in chosen and recipe.schedule == "one-cycle":
        return dataclasses.replace(recipe, warmup=recipe.epochs / 4)
    return recipe


def default_epochs(pictures: int) -> int:
    """Return the epochs that show a network 600,000 pictures, within 5 to 60.

    >>> default_epochs(54_000), default_epochs(1_437)
    (11, 60)
    """
    return min(60, max(5, math.ceil(600_000 / max(pictures, 1) - 0.5)))


def as_table(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as a TOML table, which has no None: an absent key is one."""
    return {k: v for k, v in dataclasses.asdict(recipe).items() if v is not None}


def _recipe(chosen: Mapping[str, Any]) -> Recipe:
    for f in dataclasses.fields(Recipe):
        value = chosen.get(f.name)
        kind = _KINDS[str(f.type)]
        if value is not None and (
            not isinstance(value, kind) or isinstance(value, bool) > (bool in kind)
        ):
            raise UsageError(f"{flag(f.name)} takes {_SPOKEN[kind]}, not {value!r}")
    return Recipe(**chosen)


_SPOKEN: dict[tuple[type, ...], str] = {
    (int,): "a whole number",
    (int, float): "a number",
    (bool,): "true or false",
    (str,): "a text",
    (Mapping,): "a table",
}
_KINDS: dict[str, tuple[type, ...]] = {
    str(kind): allowed
    for kind, allowed in (
        (int, (int,)),
        (float, (int, float)),
        (bool, (bool,)),
        (str, (str,)),
        (int | None, (int,)),
        (float | None, (int, float)),
        (str | None, (str,)),
        (Mapping[str, Any], (Mapping,)),
    )
}
