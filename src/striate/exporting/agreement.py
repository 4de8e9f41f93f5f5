"""Whether a file answers as the network does that it was made of."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from striate.errors import DataError
from striate.exported.network import softmax
from striate.wording import counted, percent

MARGIN = 1e-3  # between the two likeliest classes, above which both must name the same one
APART = 1e-4  # that probabilities may be

Logits = NDArray[np.float32]  # (N, K)


class Agreement(NamedTuple):
    """How near a file's answers on real examples are to the network's own."""

    n: int
    clear: int  # examples whose two likeliest classes are more than MARGIN apart
    same: int  # of these, with the same likeliest class
    difference: float  # the largest between two probabilities

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them."""
        return self._asdict()


def compare(own: Logits, found: Logits) -> Agreement:
    """Compare a file's logits (N, K) with the network's own."""
    expected, given = softmax(own), softmax(found)
    ordered = np.sort(expected, 1)
    clear = ordered[:, -1] - ordered[:, -2:][:, 0] > MARGIN
    same = expected.argmax(1) == given.argmax(1)
    apart = float(np.abs(expected - given).max())
    return Agreement(len(own), int(clear.sum()), int((same & clear).sum()), apart)


def require(found: Agreement, kind: str) -> None:
    """Raise DataError unless a file answers as its network does."""
    whole = np.isfinite(found.difference) and found.difference <= APART
    if found.same == found.clear and whole:
        return
    raise DataError(
        f"the exported file answers differently from the network: probabilities of {found.n} "
        f"{kind} differ by up to {found.difference:.1e} ({APART:g} is allowed) and "
        f"{counted(found.clear - found.same, kind)} of {found.clear} get another class: "
        "nothing was written"
    )


def require_accuracy(before: float, after: float, max_drop: float) -> None:
    """Raise DataError where whole numbers cost more accuracy than was allowed, in points."""
    drop = 100 * (before - after)
    if drop > max_drop:
        raise DataError(
            f"int8 costs {drop:.1f} points of accuracy ({percent(before)} to {percent(after)}), "
            f"and {max_drop:g} are allowed (--max-drop): nothing was written"
        )
