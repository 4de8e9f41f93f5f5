"""TensorBoard's event files, in the run's own folder or in one that several runs share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from striate.errors import DataError, UsageError
from striate.runs import folder
from striate.training.loop import Step
from striate.training.session import Begun, Epoch, Event, Session

from .rows import final, numbers

SHARES = (
    "loss",
    "accuracy",
    "balanced_accuracy",
)  # drawn with training and validation in one chart


class TensorBoard:
    """Writes a training's numbers for TensorBoard; a resumed run replaces what it does again."""

    def __init__(self, place: Path | str | None = None) -> None:
        """Write to `place`/RUN, else into the run's own folder."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "--tensorboard needs the library TensorBoard: pip install tensorboard"
            ) from error
        self._make, self._writer = SummaryWriter, cast(Any, None)
        self._place = None if place is None else Path(place).expanduser()
        self._step = 0

    def __call__(self, session: Session, event: Event) -> None:
        """Write one event."""
        if isinstance(event, Begun):
            self._begin(session, event.step)
        elif isinstance(event, Step):
            self._step = event.number
            self._scalars({"step/loss": event.loss, "step/rate": event.rate}, event.number)
        elif isinstance(event, Epoch):
            named = {_tag(key): value for key, value in numbers(event.row).items()}
            self._scalars(named, event.row["step"])
            self._writer.flush()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write what was reached."""
        self._scalars({f"result/{key}": value for key, value in final(result).items()}, self._step)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _begin(self, session: Session, step: int) -> None:
        run = session.folder
        place = run / folder.TENSORBOARD if self._place is None else self._place / run.name
        try:
            self._writer = self._make(str(place), purge_step=step + 1 if step else None)
        except OSError as error:
            raise DataError(f"cannot write to {place}: {error.strerror or error}") from error
        self._step = step
        self._writer.add_text("recipe", f"```\n{(run / folder.RECIPE).read_text()}\n```", step)

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)


def _tag(key: str) -> str:
    """Name a number so that a chart has it of training beside it of validation.

    >>> _tag("validation_balanced_accuracy"), _tag("seconds")
    ('balanced_accuracy/validation', 'epoch/seconds')
    """
    split, _, what = key.partition("_")
    return f"{what}/{split}" if what in SHARES else f"epoch/{key}"
