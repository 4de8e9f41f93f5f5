"""A training with its run: epoch after epoch taught, evaluated and saved; it can be stopped."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from striate import evaluation, metrics, ranks
from striate.data.batches import Pictures
from striate.data.preparation.kinds import Preparation
from striate.epochs import best, is_over, score
from striate.errors import DataError, Stopped
from striate.models import Architecture
from striate.models.tensorfiles import from_safetensors
from striate.runs import bundle, checkpoints, folder
from striate.stopping import Halt
from striate.wording import percent

from . import optim, stages
from .loop import POINTS, Progress, Step, epoch, steps_an_epoch
from .stages import Teaching
from .step import DivergedError, Learner
from .together import shared

# Share of an epoch's steps that is waiting for data, from which something is suggested.
MUCH = 0.2


class Epoch(NamedTuple):
    """An epoch that is done, evaluated and saved: a line of metrics.jsonl."""

    row: dict[str, Any]
    best: bool


class Saved(NamedTuple):
    """A checkpoint is on the disk."""

    step: int
    path: Path


class Begun(NamedTuple):
    """All is ready for the first step, or the next."""

    step: int  # steps done


class Note(NamedTuple):
    """A line for people: what begins now."""

    line: str


Event = Begun | Step | Epoch | Saved | Note


@dataclass
class Session:
    """All that a training under way holds."""

    folder: Path
    architecture: Architecture
    classes: tuple[str, ...]
    learner: Learner  # of the whole network
    preparation: Preparation
    pictures: dict[str, Pictures]  # train, and validation where there is one
    progress: Progress
    save_every: float  # seconds between two checkpoints within an epoch
    teaching: Teaching | None = None  # what the present steps are taken with

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        recipe = self.learner.recipe
        return recipe.epochs * steps_an_epoch(len(self.pictures["train"]), recipe)


def teach(session: Session, halt: Halt) -> Iterator[Event]:
    """Teach to the end, or until `halt`: then the state is saved and Stopped is raised.

    A state that is not finite is never saved; DivergedError says what to try.
    """
    try:
        yield from _entered(session, halt)
        yield Begun(session.progress.step)
        yield from _epochs(session, halt)
    except Stopped as stop:
        where = save(session)
        ranks.wait()  # until it is saved, no process leaves
        raise Stopped(
            f"stopped after step {session.progress.step}, saved in {where}: continue with "
            f"`striate train --resume {session.folder}`",
            stop.signal,
        ) from None
    except DivergedError as error:
        raise _advice(session, error) from error
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        recipe = session.learner.recipe
        half = max(1, recipe.batch_size // 2)
        raise DataError(
            f"out of memory at step {session.progress.step + 1}: try --batch-size {half}, with "
            f"--accumulate {2 * recipe.accumulate} for steps as large as these"
        ) from error
    if ranks.is_first():
        folder.write_bundle(session.folder)


def save(session: Session, *, rank: tuple[float, ...] | None = None) -> Path:
    """Save a checkpoint now; a state that is not finite is a DivergedError.

    Of several processes, whose states are alike, the first saves its own.
    """
    learner, progress = session.learner, session.progress
    state = learner.model.state_dict()
    broken = [name for name, tensor in state.items() if not _finite(tensor)]
    if broken:
        raise DivergedError(f"{broken[0]} is not finite")
    if not ranks.is_first():
        return checkpoints.place(session.folder, progress.step)
    document = {
        **bundle.card(session.architecture, session.preparation, session.classes),
        "metrics": _validation(progress.history[-1]) if rank else {},
        "state": {**asdict(progress), "score": list(rank) if rank else None},
    }
    tensors = optim.save_state(learner.optimiser, learner.model)
    content = {
        **bundle.blobs(learner.judged, session.preparation),
        checkpoints.OPTIMISER: bundle.tensor_bytes(tensors),
    }
    if learner.average:
        content[checkpoints.RAW] = bundle.tensor_bytes(state)
    return checkpoints.save(session.folder, document, content)


def _epochs(session: Session, halt: Halt) -> Iterator[Event]:
    progress, recipe = session.progress, session.learner.recipe
    per_epoch = steps_an_epoch(len(session.pictures["train"]), recipe)
    advised = False
    while not is_over(progress.history, recipe.epochs, recipe.patience, recipe.monitor):
        yield from _entered(session, halt)
        if progress.step < (progress.epochs + 1) * per_epoch:
            yield from _steps(session, halt)
        row = ranks.of_first(_evaluate(session, halt))
        progress.close_epoch(row)
        yield Saved(progress.step, save(session, rank=score(row, recipe.monitor)))
        if ranks.is_first():
            folder.write_history(session.folder, progress.history)
        yield Epoch(row, best=best(progress.history, recipe.monitor) is row)
        if not advised and (line := _advice_on_data(session, row["waiting"])):
            advised = True
            yield Note(line)


def _entered(session: Session, halt: Halt) -> Iterator[Note]:
    """Make ready what the present epoch is taught with: within a stage nothing new."""
    learner, progress = session.learner, session.progress
    stage = stages.stage_at(learner.recipe, progress.epochs)
    if session.teaching and session.teaching.stage == stage:
        return
    began = time.monotonic()
    if session.teaching:
        session.learner = stages.entered(learner, stage)
    session.teaching = shared(stages.teaching(session.learner, stage, session.pictures, halt.poll))
    progress.seconds += time.monotonic() - began
    if session.teaching.line:
        yield Note(session.teaching.line)


def _taught(session: Session) -> tuple[Learner, dict[str, Pictures]]:
    assert session.teaching, "a stage has begun"
    return session.teaching.learner, session.teaching.pictures


def _steps(session: Session, halt: Halt) -> Iterator[Event]:
    learner, pictures = _taught(session)
    progress, saved = session.progress, time.monotonic()
    began = time.monotonic()
    span = -(-steps_an_epoch(len(pictures["train"]), learner.recipe) // POINTS)
    for steps in epoch(learner, pictures["train"], progress):
        for step in steps:
            progress.count(step, span=span)
        now = time.monotonic()
        progress.seconds += now - began
        progress.taught += now - began
        yield from steps
        began = time.monotonic()  # what the caller does between two steps is not counted
        halt.poll()
        if began - saved > session.save_every:
            yield Saved(progress.step, save(session))
            saved = began = time.monotonic()


def _evaluate(session: Session, halt: Halt) -> dict[str, Any]:
    """Return the epoch's line: the training so far, and the validation split where there is one."""
    learner, pictures = _taught(session)
    progress = session.progress
    began = time.monotonic()
    row: dict[str, Any] = {
        "epoch": progress.epochs + 1,
        "step": progress.step,
        "rate": learner.rate(
            learner.recipe,
            progress.step - 1,
            steps_an_epoch(len(pictures["train"]), learner.recipe),
        ),
        "train_loss": progress.loss_sum / progress.pictures,
        "train_accuracy": progress.correct / progress.pictures,
    }
    if "validation" in pictures:
        part = pictures["validation"]
        logits = evaluation.logits(
            learner.judged, learner.preprocessing, part, device=learner.device, poll=halt.poll
        )
        if not torch.isfinite(logits).all():
            raise DivergedError("the network's answers on the validation split are not finite")
        found = metrics.measure(logits, part.labels, session.classes)
        row |= {
            "validation_loss": found.loss,
            "validation_accuracy": found.accuracy,
            "validation_balanced_accuracy": found.balanced_accuracy,
        }
    progress.seconds += time.monotonic() - began
    return {
        **row,
        "waiting": round(progress.waiting, 4),
        "seconds": round(progress.seconds, 3),
    }


def _validation(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in ("seconds", "waiting")}


def _advice_on_data(session: Session, waiting: float) -> str:
    """Say what would help where much of an epoch was waiting for data; "" where little was."""
    _, pictures = _taught(session)
    how = pictures["train"].faster() if waiting > MUCH else ""
    return f"{percent(waiting, 0)} of the steps' time was waiting for data: {how}" if how else ""


def _advice(session: Session, error: DivergedError) -> DivergedError:
    with contextlib.suppress(DivergedError):  # the weights are not finite: an older state is kept
        save(session)
    ranks.wait()
    recipe = session.learner.recipe
    clip = "" if recipe.clip else ", or --clip 1"
    step = session.progress.step + 1
    lost = f"steps from {step} on were undone" if error.ahead else "the step was not taken"
    return DivergedError(
        f"{error} at step {step + error.ahead}: {lost} and the last finite "
        f"state is kept in {session.folder}; try again with --rate {recipe.rate / 4:.2g}{clip}"
    )


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "allocate memory" in str(error) or "out of memory" in str(error)


def progress_of(checkpoint: checkpoints.Checkpoint) -> Progress:
    """Return where a training stood at a checkpoint."""
    return Progress(**{k: v for k, v in checkpoint.document["state"].items() if k != "score"})


def restore(checkpoint: checkpoints.Checkpoint, learner: Learner) -> None:
    """Put a checkpoint's weights, their mean and the optimiser back.

    Where a stage is about to begin, its optimiser is new.
    """
    raw = checkpoints.RAW if learner.average else bundle.WEIGHTS
    for model, blob in ((learner.judged, bundle.WEIGHTS), (learner.model, raw)):
        saved = from_safetensors(checkpoint.blobs[blob], checkpoint.path)
        bundle.fill(model, saved, checkpoint.path)
    if stages.begins(learner.recipe, progress_of(checkpoint)):
        return
    saved = from_safetensors(checkpoint.blobs[checkpoints.OPTIMISER], checkpoint.path)
    optim.load_state(learner.optimiser, learner.model, saved)
