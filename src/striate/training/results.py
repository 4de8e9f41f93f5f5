"""What a finished training leaves besides its bundle: numbers, predictions and a picture."""

import dataclasses
from typing import Any

from striate import epochs, evaluation, figures, files, metrics, ranks
from striate.epochs import End
from striate.evaluation import Evaluation
from striate.runs import Bundle, folder
from striate.stopping import Halt
from striate.wording import counted, percent

from .loop import steps_an_epoch
from .session import Session

MISTAKES = 15  # in the picture


def finish(session: Session, halt: Halt, *, trust_code: bool = False) -> None:
    """Evaluate the bundle on the test split (else validation, else train) and write the results."""
    path = session.folder
    bundle = _finished(session, trust_code=trust_code)
    split = evaluation.preferred(session.pictures)
    found = evaluation.evaluate(
        bundle,
        session.pictures[split],
        split=split,
        device=session.learner.device,
        poll=halt.poll,
    )
    if not ranks.is_first():
        return
    recorded = folder.read_json(path, folder.DATA)["leaks"]
    leak = next((entry for entry in recorded if entry["split"] == split), None)
    found = dataclasses.replace(found, leak=leak)
    folder.write_predictions(path, found.table())
    files.write(path / folder.OVERVIEW, overview(session, found))
    files.write(path / folder.RESULT, files.json_bytes(_result(session, found)))


def _finished(session: Session, *, trust_code: bool) -> Bundle:
    """Load the network that was kept, on the first process; the others get its weights from it."""
    if ranks.is_first():
        found = folder.load_bundle(session.folder, trust_code=trust_code)
    else:
        model = session.learner.judged.cpu()  # as the first one's is
        found = Bundle(model, session.preparation, session.classes, session.architecture, {})
    for tensor in (*found.model.parameters(), *found.model.buffers()):
        ranks.from_first(tensor)
    return found


def ended(session: Session) -> End:
    """Say why a finished training stopped, and which epoch it kept."""
    recipe = session.learner.recipe
    return epochs.end(session.progress.history, recipe.epochs, recipe.patience, recipe.monitor)


def overview(session: Session, found: Evaluation) -> bytes:
    """Draw the curves and the worst mistakes: PNG."""
    rows = found.mistakes(MISTAKES)
    answers, shares = found.answers()
    captions = [
        figures.mistake(
            found.classes[found.labels[row]],
            found.classes[answers[row]],
            percent(float(shares[row]), 0),
            found.names[row],
        )
        for row in rows
    ]
    wrong, kind = int((answers != found.labels).sum()), found.pictures.split.kind
    title = (
        f"{session.folder.name}: {found.split} accuracy {percent(found.accuracy)} "
        f"({counted(found.metrics.n, kind)}"
        + (f", {found.leak['copies']:,} of them with a copy in training)" if found.leak else ")")
    )
    count = counted(wrong, "mistakes") if wrong else "no mistakes"
    note = f"{count} in {counted(found.metrics.n, kind)} of the {found.split} split"
    return figures.overview(
        session.progress.history,
        [found.image(row) for row in rows],
        captions,
        title=title,
        note=note,
        by_step=session.progress.by_step(),
        metric=session.learner.recipe.monitor,
    )


def _result(session: Session, found: Evaluation) -> dict[str, Any]:
    numbers = metrics.as_json(found.metrics)
    progress = session.progress
    return {
        "accuracy": found.accuracy,
        "split": found.split,
        "kind": found.pictures.split.kind,
        "leak": found.leak,
        **{key: numbers[key] for key in ("n", "interval", "balanced_accuracy", "top5", "loss")},
        "epochs": progress.epochs,
        "best_epoch": epochs.best(progress.history, session.learner.recipe.monitor)["epoch"],
        "ended": ended(session).reason,
        "train_seconds": round(progress.seconds, 3),
        "per_second": round(_taught(session) / max(progress.seconds, 1e-9), 1),
        "step_size": session.learner.recipe.step_size,
        "processes": ranks.count(),
        "parameters": sum(p.numel() for p in session.learner.model.parameters()),
    }


def _taught(session: Session) -> int:
    """Count the examples that all steps were taken on; one that is shown again counts again."""
    recipe, shown = session.learner.recipe, len(session.pictures["train"])
    steps = steps_an_epoch(shown, recipe)
    return session.progress.epochs * min(shown, steps * recipe.step_size)
