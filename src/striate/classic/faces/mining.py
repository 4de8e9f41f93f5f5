"""Non-faces for the next stage: windows without a face that pass all stages so far."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate import images
from striate.devices import seed_of

from .cascade import Cascade, depth, windows_of
from .integral import Pixels
from .scanning import Grid, count, levels, passing
from .sources import Examples, grey

PURPOSE = 3  # of random numbers, beside training's
SPREAD = 8  # a scene gives at most so many times its share: early stages are to see many scenes
FIRST = 40  # windows of each size that the first stage takes from a scene, by chance
# Ways to mirror a scene, as steps down and across: fewer would leave late stages too few windows.
TURNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


class Looked(NamedTuple):
    """Another scene was looked at: the windows found so far, and how many were looked at."""

    stage: int
    found: tuple[Pixels, ...]
    seen: int

    @property
    def windows(self) -> Pixels:
        """The windows found so far, (N, H, W)."""
        return np.concatenate(self.found)

    @property
    def total(self) -> int:
        """How many they are."""
        return sum(map(len, self.found))


def collect(
    cascade: Cascade,
    examples: Examples,
    wanted: int,
    seed: int,
    *,
    poll: Callable[[], None] = lambda: None,
) -> Iterator[Looked]:
    """Find windows without faces that the cascade takes for faces; the last yield has them all.

    The given non-faces come first, then scenes in an order of chance, until there are enough.
    """
    number = len(cascade.stages)
    random = np.random.default_rng(seed_of(seed, PURPOSE, number))
    kept = examples.others[_passes(cascade, examples.others)]
    if len(kept) > wanted and examples.scenes:
        kept = kept[: wanted // 2]
    found, seen = [kept[:wanted]], len(examples.others)
    total = len(found[0])
    yield Looked(number + 1, tuple(found), seen)
    most = -(-SPREAD * wanted // max(1, len(examples.scenes)))
    for path, turn in _order(examples.scenes, random):
        if total >= wanted:
            break
        poll()
        windows, looked = _from_scene(cascade, path, turn, random)
        order = random.permutation(len(windows))[: min(most, wanted - total)]
        found.append(windows[np.sort(order)])
        total += len(order)
        seen += looked
        yield Looked(number + 1, tuple(found), seen)


def _order(scenes: Sequence[Path], random: np.random.Generator) -> Iterator[tuple[Path, int]]:
    """Yield each scene once as it may lie, then all of them another way, and so on."""
    first = random.integers(len(TURNS), size=len(scenes))
    for turn in range(len(TURNS)):
        for place in random.permutation(len(scenes)):
            yield scenes[place], int(first[place] + turn) % len(TURNS)


def _passes(cascade: Cascade, windows: Pixels) -> NDArray[np.bool_]:
    found = depth(cascade.stages, windows_of(windows))
    return np.asarray(found.passed == len(cascade.stages))


def _from_scene(
    cascade: Cascade, path: Path, turn: int, random: np.random.Generator
) -> tuple[Pixels, int]:
    """Return the windows of a scene that pass, and how many were looked at."""
    try:
        picture = grey(images.decode(path))
    except images.PictureError:
        return np.empty((0, *cascade.window), np.uint8), 0
    down, across = TURNS[turn]
    picture = np.ascontiguousarray(picture[::down, ::across])
    grid = Grid().check(min(cascade.window))
    found = []
    for level in levels(picture, cascade.window, grid):
        if cascade.stages:
            rows, columns, _ = passing(cascade, level.pixels, 1)
        else:
            room = [level.pixels.shape[i] - cascade.window[i] + 1 for i in (0, 1)]
            rows, columns = (random.integers(0, side, FIRST) for side in room)
        found.append(_cut(level.pixels, rows, columns, cascade.window))
    return np.concatenate(found), count(picture.shape, cascade.window, grid)


def _cut(
    pixels: Pixels,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    window: tuple[int, int],
) -> Pixels:
    views = np.lib.stride_tricks.sliding_window_view(pixels, window)
    return np.asarray(views[rows, columns])
