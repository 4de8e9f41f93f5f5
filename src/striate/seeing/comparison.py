"""Two runs beside each other: who is right where the other is wrong, and which choices differ."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from striate.errors import DataError, UsageError

from .answers import Answers

Paired = TypeVar("Paired", bound=Hashable)  # by what two results belong together


class McNemar(NamedTuple):
    """How two networks did on the same pictures (McNemar 1947)."""

    both: int  # right
    first: int  # right alone
    second: int  # right alone
    neither: int
    p: float  # probability of so uneven a split, were both as good: exact, two-sided


class Compared(NamedTuple):
    """The answers of two runs on the pictures that both were judged on."""

    files: list[str]
    labels: NDArray[np.int64]  # places in the first run's classes
    predicted: NDArray[np.int64]  # (2, N), as well
    probabilities: NDArray[np.float64]  # (2, N), of the predicted class
    test: McNemar
    left_out: tuple[int, int]  # pictures that only one of them was judged on
    classes: tuple[str, ...]  # the first run's, then those that only the second knows

    @property
    def right(self) -> NDArray[np.bool_]:
        """Tell which answers are right: (2, N)."""
        found: NDArray[np.bool_] = self.predicted == self.labels
        return found


class Difference(NamedTuple):
    """The mean of paired differences, second less first, with its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def is_sure(self) -> bool:
        """Tell whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def compare(first: Answers, second: Answers) -> Compared:
    """Set two runs' answers side by side, by the pictures' names and the classes' names.

    DataError where they have no picture in common, or know a picture by different classes.
    """
    where = {name: row for row, name in enumerate(second.files)}
    rows = [(row, where[name]) for row, name in enumerate(first.files) if name in where]
    if not rows:
        raise DataError(
            f"the runs were judged on different pictures: the first on {first.files[0]}, the "
            f"second on {second.files[0]}, and none in common"
        )
    places = {name: place for place, name in enumerate(first.classes)}
    # Classes that only the second knows come after the first's.
    for name in second.classes:
        places.setdefault(name, len(places))
    own, other = (np.array(side) for side in zip(*rows, strict=True))
    renamed = np.array([places[name] for name in second.classes])
    labels = first.labels[own]
    unlike = np.flatnonzero(renamed[second.labels[other]] != labels)
    if len(unlike):
        raise DataError(
            f"{first.files[own[unlike[0]]]} has another class in one run than in the other "
            f"({len(unlike)} such): they cannot be compared"
        )
    predicted = np.stack([first.predicted[own], renamed[second.predicted[other]]])
    right = predicted == labels
    return Compared(
        [first.files[row] for row in own],
        labels,
        predicted,
        np.stack([first.confidence[own], second.confidence[other]]),
        mcnemar(right[0], right[1]),
        (len(first.files) - len(rows), len(second.files) - len(rows)),
        tuple(places),
    )


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Test whether two networks, right or wrong on the same N pictures, are equally good."""
    alone = int((first & ~second).sum()), int((~first & second).sum())
    return McNemar(int((first & second).sum()), *alone, int((~first & ~second).sum()), _p(*alone))


def _p(first: int, second: int) -> float:
    """Add up the binomial's tails (n, 1/2), in logarithms: no count is too large."""
    n, less = first + second, min(first, second)
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2)
        for i in range(less + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def paired(
    first: Mapping[Paired, float], second: Mapping[Paired, float], *, folds: int = 0
) -> Difference:
    """Compare results of two settings by the seeds that both were trained with: second less first.

    The results of a cross-validation in `folds` parts are not independent, as any two of its runs
    share most of their training: their variance is taken for greater (Nadeau & Bengio 2003,
    https://doi.org/10.1023/A:1024068626366). UsageError for fewer than two common seeds: their
    spread is not known.
    """
    from scipy.stats import t

    seeds = [seed for seed in first if seed in second]
    if len(seeds) < 2:
        raise UsageError(
            f"a difference is told from two seeds or more that both settings have, not {len(seeds)}"
        )
    gaps = np.array([second[seed] - first[seed] for seed in seeds])
    mean = float(gaps.mean())
    shared = 1 / (folds - 1) if folds > 1 else 0.0  # held out, for each that is trained on
    reach = float(t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) * (1 / len(gaps) + shared) ** 0.5)
    return Difference(mean, mean - reach, mean + reach, len(gaps))


def differences(recipes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """List the choices that are not the same in all recipes, with each one's; else None."""
    flat = [flattened(recipe) for recipe in recipes]
    names = dict.fromkeys(name for recipe in flat for name in recipe)
    rows = {name: [recipe.get(name) for recipe in flat] for name in names}
    return {name: row for name, row in rows.items() if any(one != row[0] for one in row)}


def flattened(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Write a recipe's arguments among its choices, as their flags are written."""
    own = {f"arguments.{name}": value for name, value in recipe.get("arguments", {}).items()}
    return {**{name: value for name, value in recipe.items() if name != "arguments"}, **own}
