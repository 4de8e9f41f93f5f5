"""The curves of runs, as a page draws them, and what they come to in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.runs import folder
from striate.seeing import Difference, paired
from striate.seeing.settings import Setting, Trained


def curves(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Read the curves of settings' runs, each under its setting's name."""
    found = [_curve(run, setting.name) for setting in settings for run in setting.runs]
    return [one for one in found if one["loss"]["training"]]


def _curve(run: Trained, name: str) -> dict[str, Any]:
    history = folder.read_history(run.path)
    if not history:
        return {"name": name, "seed": run.recipe["seed"], "loss": {"training": []}}
    # Steps are drawn by the training pictures that were seen until them.
    seen = run.data["splits"]["train"] * history[-1]["epoch"] / history[-1]["step"]
    steps = folder.read_trail(run.path) or history

    def points(rows: list[dict[str, Any]], key: str) -> list[list[float]]:
        found = [(row["step"] * seen, row[key]) for row in rows if key in row]
        return [[round(at), float(f"{y:.4g}")] for at, y in found if np.isfinite(y)]

    right = points(history, "validation_accuracy")
    return {
        "name": name,
        "seed": run.recipe["seed"],
        "loss": {
            "training": points(steps, "train_loss"),
            "validation": points(history, "validation_loss"),
        },
        "error": {"validation": [[at, float(f"{1 - share:.4g}")] for at, share in right]},
        "rate": points(steps, "rate"),
    }


def curves_finding(runs: Sequence[Mapping[str, Any]]) -> str:
    """Say which setting ends lowest, and by how much where two are trained with the same seeds."""
    ends: dict[str, dict[int, float]] = {}
    for run in runs:
        points = run["error"].get("validation")
        if points:
            ends.setdefault(run["name"], {})[run["seed"]] = points[-1][1] * 100
    if not ends:
        return "No validation split: training loss alone"
    mean = {name: sum(values.values()) / len(values) for name, values in ends.items()}
    best = min(mean, key=mean.__getitem__)
    if len(ends) == 1:
        return f"Validation error ends at {mean[best]:.2f} % (n = {len(ends[best])})"
    if len(ends) == 2:
        other = next(name for name in ends if name != best)
        if len(ends[best].keys() & ends[other].keys()) >= 2:
            return _difference(best, other, paired(ends[best], ends[other]))
    return f"{best} ends lowest, at {mean[best]:.2f} % validation error"


def _difference(best: str, other: str, found: Difference) -> str:
    low, high = (f"{end:.1f}".replace("-", "\u2212") for end in (found.low, found.high))
    text = (
        f"{best} has {found.mean:.1f} points less validation error than {other} "
        f"(95 % interval {low} to {high}, n = {found.n})"
    )
    return text if found.low > 0 else f"No sure difference: {text}"
