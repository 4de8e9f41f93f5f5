"""Trainings shown in other programs as they go: TensorBoard and MLflow, beside metrics.jsonl."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from striate import ranks
from striate.training.session import Event, Session

from .mlflow import MLflow
from .tensorboard import TensorBoard

__all__ = ["MLflow", "TensorBoard", "Tracker", "opened", "showing"]


class Tracker(Protocol):
    """Hears what happens in a training, and how it ended."""

    def __call__(self, session: Session, event: Event) -> None:
        """Hear one event."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Hear what the finished training reached."""

    def close(self) -> None:
        """End, whether the training was finished or not."""


class Show(Protocol):
    """Is given what happens in a training."""

    def __call__(self, session: Session, event: Event, /) -> None: ...


def opened(*, tensorboard: str | None, mlflow: str | None) -> list[Tracker]:
    """Open the trackers that are asked for: "" stands for the usual place.

    Of several processes the first alone has any.
    """
    if ranks.started().rank:
        return []
    trackers: list[Tracker] = []
    if tensorboard is not None:
        trackers.append(TensorBoard(tensorboard or None))
    if mlflow is not None:
        trackers.append(MLflow(mlflow or None))
    return trackers


def showing(views: Sequence[Show]) -> Show:
    """Return what hands each event to several views in turn."""

    def show(session: Session, event: Event, /) -> None:
        for view in views:
            view(session, event)

    return show
