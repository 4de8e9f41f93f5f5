"""Why a network answered as it did, for one picture at a time, on a copy of the network."""

import copy
import functools
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from striate.errors import DataError, UsageError
from striate.runs import Bundle, folder
from striate.seeing.explaining import Explainer, Explanation
from striate.usercode import Consent

LOG = logging.getLogger("striate.serving")


class Explanations:
    """A thread that explains; what it needs takes seconds to make, and is made once."""

    def __init__(self, run: Path, bundle: Bundle, trust_code: bool, device: torch.device) -> None:
        self._run, self._bundle, self._device = run, bundle, device
        self._consent = Consent(run, trust_code)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="striate-explain")
        self._explainer: Explainer | None = None

    @functools.cached_property
    def has_neighbours(self) -> bool:
        """Tell whether the run keeps what its training pictures look like to this network."""
        return folder.is_run(self._run) and folder.read_features(self._run) is not None

    @property
    def notes(self) -> list[str]:
        """Say what is left out of every explanation, and why."""
        found = list(self._explainer.notes) if self._explainer else []
        if not self.has_neighbours:
            kind = self._bundle.preprocessing.kind
            found.append(f"similar training {kind} are shown of a run that has its report")
        return found

    def prepare(self) -> None:
        """Make what is needed, which takes seconds, before anyone asks."""
        self._thread.submit(self._ready).result()

    def submit(self, name: str, pixels: Tensor, top: int) -> "Future[Explanation]":
        """Begin to explain an example's pixels."""
        return self._thread.submit(self._explained, name, pixels, top)

    def close(self) -> None:
        """End the thread once it has done what it was given."""
        self._thread.shutdown(cancel_futures=True)

    def _explained(self, name: str, pixels: Tensor, top: int) -> Explanation:
        return self._ready().explained(name, pixels, top=top)

    def _ready(self) -> Explainer:
        if self._explainer is None:
            self._explainer = self._made()
        return self._explainer

    def _made(self) -> Explainer:
        # A copy: gradients and hooks of this one must not meet the thread that predicts.
        own = self._bundle._replace(model=copy.deepcopy(self._bundle.model))
        run = self._run if self.has_neighbours else None
        try:
            return Explainer(run, own, consent=self._consent, device=self._device)
        except (DataError, UsageError) as error:
            LOG.warning("no similar training pictures are shown: %s", error)
            return Explainer(None, own, consent=self._consent, device=self._device)
