"""The runs and groups in a folder, a row each."""

from pathlib import Path
from typing import Any

import numpy as np

from striate.api import Run
from striate.runs import folder, group
from striate.seeing.comparison import flattened
from striate.wording import shown

from .group import Group


def summaries(parent: Path | str = "runs") -> list[dict[str, Any]]:
    """Make a row a run or group in a folder, the best accuracy first, unfinished ones last.

    A group's accuracy is the mean over its runs; of a sweep that of the best by validation.
    """
    paths = folder.list_runs(Path(parent).expanduser())
    rows = [_summary(path) for path in paths]
    recipes = [flattened(folder.read_recipe(path)) for path in paths]
    for row, own in zip(rows, recipes, strict=True):
        others = [r for r, other in zip(recipes, rows, strict=True) if other["data"] == row["data"]]
        keys = dict.fromkeys(key for recipe in others for key in recipe)
        row["differs"] = {
            key: own.get(key)
            for key in keys
            if key not in ("model", "epochs") and any(r.get(key) != own.get(key) for r in others)
        }
    rows += [_group_summary(path) for path in group.list_groups(Path(parent).expanduser())]
    return sorted(rows, key=lambda row: (row["accuracy"] is None, -(row["accuracy"] or 0)))


def _summary(path: Path) -> dict[str, Any]:
    run = Run(path)
    result, history = run.result, run.history
    origin = folder.read_json(path, folder.DATA)["origin"]
    done = {key: result.get(key) for key in ("split", "n", "accuracy", "best_epoch")}
    return {
        "run": shown(path),
        "data": origin.get("text"),
        "model": run.recipe.get("model"),
        **done,
        "epochs": len(history),
        "train_seconds": folder.seconds(path),
        "finished": bool(result),
        "leak": result.get("leak"),
    }


def _group_summary(path: Path) -> dict[str, Any]:
    """Make the row of a group, whose runs are counted by what became of them."""
    found, document = Group(path), group.read(path)
    done = found.runs
    is_sweep = not set(found.differs) <= {"seed", "fold"}
    chosen = [Run(run) for run in found.ranking[0].runs] if is_sweep and done else done
    first = chosen[0].result if chosen else {}
    accuracies = [run.accuracy for run in chosen]
    return {
        "run": shown(path),
        "data": document["data"],
        "model": document["model"] or "several",
        **{key: first.get(key) for key in ("split", "n")},
        "accuracy": float(np.mean(accuracies)) if accuracies else None,
        "sd": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        "best_epoch": None,
        "epochs": max((run.result["epochs"] for run in done), default=0),
        "train_seconds": sum(run.result["train_seconds"] for run in done),
        "finished": not found.unfinished and bool(done),
        "leak": None,
        "differs": flattened(document["choices"]),
        "runs": len(found.choices),
        "done": len(done),
        "varies": list(found.differs),
    }
