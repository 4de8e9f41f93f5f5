"""A bundle as it is asked about pictures, sounds or clips, by several views where wanted."""

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import devices, evaluation, metrics
from striate.data.preparation.kinds import allowance
from striate.data.sources.given import Example
from striate.decoding import Decoders
from striate.evaluation import PLAIN, Views
from striate.ranking import Network, Prediction, Wanted, rank
from striate.runs import Bundle
from striate.stopping import Poll, unheard


def predict(  # noqa: PLR0913
    bundle: Bundle,
    examples: Iterable[Example],
    *,
    decoders: Decoders,
    top: int = 5,
    views: Views = PLAIN,
    min_confidence: float | None = None,
    device: torch.device,
    poll: Poll = unheard,
) -> Iterator[Prediction]:
    """Yield the `top` classes of each example, in order, as `rank` does.

    `decoders` are those of `open_decoders`.
    """
    devices.place(bundle.model, device)
    asked, wanted = network(bundle, device, views=views), Wanted(top, min_confidence)
    return rank(asked, examples, decoders=decoders, wanted=wanted, poll=poll)


def open_decoders(bundle: Bundle, workers: int | None = None) -> Decoders:
    """Return decoders of a bundle's examples: held open, they answer at once."""
    count = devices.processors() if workers is None else workers
    return network(bundle, torch.device("cpu")).open_decoders(count)


def network(bundle: Bundle, device: torch.device, *, views: Views = PLAIN) -> Network:
    """Return a run's network as it is asked; it has been placed on the device."""
    ask = functools.partial(evaluation.answer, bundle.model, bundle.preprocessing, device=device)

    def probabilities(pixels: Sequence[Tensor]) -> NDArray[np.float64]:
        logits = evaluation.averaged(ask, torch.stack(list(pixels)), views)[-1]
        return metrics.probabilities(logits, bundle.temperature).numpy()

    return Network(
        bundle.preprocessing.kind,
        bundle.preprocessing.pixels,
        probabilities,
        bundle.classes,
        allowance(bundle.preprocessing),
    )
