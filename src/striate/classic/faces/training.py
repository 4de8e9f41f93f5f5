"""Training a cascade: stage after stage, each on what the ones before it let through.

Viola & Jones 2001 (https://doi.org/10.1109/CVPR.2001.990517), table 2.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.devices import seed_of
from striate.errors import DataError, UsageError

from . import haar, mining
from .boosting import Round, boost, table
from .cascade import Cascade, Stage, Windows, depth, windows_of
from .haar import Feature
from .integral import Pixels
from .sources import Examples

FEATURES, SPLIT = 1, 2  # purposes of random numbers; mining has its own
LEAST = 50  # non-faces, below which a stage would learn them by heart


@dataclass(frozen=True)
class Settings:
    """What a training chooses; all shares are in [0, 1]."""

    stages: int = 16
    detection: float = 0.995  # share of held-out faces that each stage lets through, at least
    false_alarms: float = 0.4  # share of held-out non-faces that each stage lets through, at most
    stumps: int = 150  # in one stage, at most
    features: int = 4000  # drawn anew for each stage
    non_faces: int = 5000  # a stage
    held_out: float = 0.2  # of faces and of non-faces, to set thresholds by
    mirror: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("detection", "false_alarms", "held_out"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} is between 0 and 1, not {getattr(self, name):g}")
        for name, least in (
            ("stages", 1),
            ("stumps", 1),
            ("features", 1),
            ("non_faces", 2 * LEAST),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{_flag(name)} is {least} or more, not {getattr(self, name)}")


class Boosted(NamedTuple):
    """A stump more in the stage under way, and how the stage stands."""

    stage: int
    stumps: int
    false_alarms: float  # share of the held-out non-faces


class Grown(NamedTuple):
    """A stage is done."""

    cascade: Cascade


class Ended(NamedTuple):
    """No stage more: the pictures have too few windows that pass."""

    reason: str


Event = mining.Looked | Boosted | Grown | Ended


class Halves(NamedTuple):
    """Windows to train on and windows to measure with."""

    train: Pixels
    held: Pixels


def grow(
    examples: Examples,
    settings: Settings,
    begun: Cascade | None = None,
    *,
    poll: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """Train stage after stage, from where `begun` stands; the caller saves what has grown.

    All that is random is a function of the seed and the stage: so it does not matter how often a
    training was stopped between stages.
    """
    cascade = begun or Cascade(examples.window, (), record(examples, settings))
    faces = _split(examples.faces, settings, 0)
    if settings.mirror:
        faces = Halves(*(np.concatenate([half, half[:, :, ::-1]]) for half in faces))
    if min(map(len, faces)) < 2:
        raise DataError(f"{len(examples.faces)} faces are too few to train on")
    for number in range(len(cascade.stages), settings.stages):
        began = time.monotonic()
        found = None
        for found in mining.collect(
            cascade, examples, settings.non_faces, settings.seed, poll=poll
        ):
            yield found
        assert found is not None
        if found.total < LEAST:
            yield Ended(f"only {found.total} windows without faces pass {number} stages")
            return
        others = _split(found.windows, settings, number + 1)
        passed = Halves(*(half[_through(cascade, half)] for half in faces))
        for event in _stage(number, passed, others, examples.window, settings):
            poll()
            if isinstance(event, Boosted):
                yield event
                continue
            seconds = round(time.monotonic() - began, 1)
            whole = {"seen": found.seen, "others": found.total, "seconds": seconds}
            kept = Stage(
                event.features,
                event.thresholds,
                event.votes,
                event.threshold,
                {**event.record, **whole},
            )
            cascade = cascade.grown(kept)
            yield Grown(cascade)


def record(examples: Examples, settings: Settings) -> dict[str, object]:
    """Return how a cascade is made, for its file."""
    return {
        "settings": asdict(settings),
        "data": {
            "origin": list(examples.origin),
            "faces": len(examples.faces),
            "others": len(examples.others),
            "scenes": len(examples.scenes),
            "sha256": examples.fingerprint,
        },
        "mean_face": examples.faces.mean(axis=0).round().astype(int).tolist(),
    }


def _split(windows: Pixels, settings: Settings, part: int) -> Halves:
    random = np.random.default_rng(seed_of(settings.seed, SPLIT, part))
    order = random.permutation(len(windows))
    held = max(1, round(settings.held_out * len(windows)))
    return Halves(windows[np.sort(order[held:])], windows[np.sort(order[:held])])


def _through(cascade: Cascade, windows: Pixels) -> NDArray[np.bool_]:
    found = depth(cascade.stages, windows_of(windows))
    return np.asarray(found.passed == len(cascade.stages))


def _stage(
    number: int, faces: Halves, others: Halves, window: tuple[int, int], settings: Settings
) -> Iterator[Boosted | Stage]:
    """Boost until the stage lets through few enough held-out non-faces; last yield the stage."""
    if not len(faces.train) or not len(faces.held):
        raise DataError(f"no face passes {number} stages: ask for a higher --detection")
    chosen = _features(number, window, settings)
    labels = np.arange(len(faces.train) + len(others.train)) < len(faces.train)
    known = table(_values(chosen, np.concatenate([faces.train, others.train])))
    held = windows_of(faces.held), windows_of(others.held)
    stage = None
    rounds: list[Round] = []
    for one in itertools.islice(boost(known, labels), settings.stumps):
        rounds.append(one)
        stage = _measured(chosen, rounds, held, settings)
        yield Boosted(number + 1, len(stage), stage.record["false_alarms"])
        if stage.record["false_alarms"] <= settings.false_alarms:
            break
    if stage is None:
        raise DataError("no feature tells the faces from the other pictures: are they the same?")
    yield stage


def _features(number: int, window: tuple[int, int], settings: Settings) -> list[Feature]:
    whole = haar.features(window[1], window[0])
    random = np.random.default_rng(seed_of(settings.seed, FEATURES, number))
    count = min(settings.features, len(whole))
    return [whole[row] for row in np.sort(random.choice(len(whole), count, replace=False))]


def _values(chosen: list[Feature], windows: Pixels) -> NDArray[np.float32]:
    """Return features in standard deviations of their windows: (F, N)."""
    flat = windows_of(windows)
    sums = flat.sums.reshape(len(windows), -1, flat.stride)
    found = haar.values(sums, haar.corners(chosen))
    found /= flat.deviations
    return found


def _measured(
    chosen: list[Feature], rounds: list[Round], held: tuple[Windows, Windows], settings: Settings
) -> Stage:
    """Return the stage of all rounds, its threshold as low as the held-out faces ask for."""
    stumps = [one.stump for one in rounds]
    size = sum(abs(stump.vote) for stump in stumps)
    stage = Stage(
        tuple(chosen[stump.feature] for stump in stumps),
        tuple(stump.threshold for stump in stumps),
        tuple(stump.vote / size for stump in stumps),
        0.0,
    )
    scores, alarms = (depth([stage], half).margins for half in held)
    missed = int((1 - settings.detection) * len(scores))
    threshold = float(np.sort(scores)[missed])
    return Stage(
        stage.features,
        stage.thresholds,
        stage.votes,
        threshold,
        {
            "detection": float((scores >= threshold).mean()),
            "false_alarms": float((alarms >= threshold).mean()),
        },
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
