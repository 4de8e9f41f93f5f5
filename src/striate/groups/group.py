"""A group of runs as Python users hold it: what is finished, mean and spread, which is best."""

from pathlib import Path
from typing import Any

import numpy as np

from striate.api import Run
from striate.errors import DataError
from striate.evaluation import Evaluation
from striate.runs import group
from striate.runs.ranking import Ranked, kept, ranked
from striate.wording import shown


class Group:
    """A folder of runs that differ in named choices: seed, fold, or what a sweep varied."""

    def __init__(self, path: Path | str, *, trust_code: bool = False) -> None:
        """Open a group; DataError if the folder is none."""
        self.folder = Path(path).expanduser().absolute()
        if not group.is_group(self.folder):
            raise DataError(f"{path} is no group of runs: it has no {group.GROUP}")
        self._trust_code = trust_code

    def __repr__(self) -> str:
        """Show the folder, and how much of it is finished."""
        return f"Group({str(self.folder)!r}, {len(self.runs)} of {len(self.choices)} finished)"

    @property
    def differs(self) -> tuple[str, ...]:
        """The choices in which the runs differ."""
        return tuple(group.read(self.folder)["differs"])

    @property
    def choices(self) -> dict[str, dict[str, Any]]:
        """What is each run's own, by its name: of all that were asked for."""
        found: dict[str, dict[str, Any]] = group.read(self.folder)["runs"]
        return found

    @property
    def failed(self) -> dict[str, str]:
        """Why runs were left out, by name: their numbers were not finite."""
        found: dict[str, str] = group.read(self.folder)["failed"]
        return found

    @property
    def runs(self) -> list[Run]:
        """The finished runs, in the group's order."""
        begun = [Run(path, trust_code=self._trust_code) for path in group.members(self.folder)]
        return [run for run in begun if run.result]

    @property
    def unfinished(self) -> list[str]:
        """The names of the runs that the same command would go on with."""
        known = {run.folder.name for run in self.runs} | self.failed.keys()
        return [name for name in self.choices if name not in known]

    @property
    def accuracies(self) -> list[float]:
        """The finished runs' accuracies, each on the split that its run was judged on."""
        return [run.accuracy for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean of the accuracies; DataError where no run is finished."""
        if not self.accuracies:
            raise DataError(f"{self.folder} has no finished run: the same command goes on")
        return float(np.mean(self.accuracies))

    @property
    def sd(self) -> float | None:
        """The standard deviation of the accuracies (n - 1); None of fewer than two."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else None

    @property
    def ranking(self) -> list[Ranked]:
        """The settings of a sweep, the best first: by validation alone."""
        return ranked(self.folder, self.choices)

    @property
    def best(self) -> Run:
        """The finished run that was best on validation; of several seeds the setting decides."""
        if not self.ranking:
            raise DataError(f"{self.folder} has no finished run: the same command goes on")
        return Run(self.ranking[0].runs[0], trust_code=self._trust_code)

    def rows(self) -> list[dict[str, Any]]:
        """Make a row a run: its name, what is its own, and what it reached."""
        done = {run.folder.name: run for run in self.runs}
        return [
            {
                "run": name,
                **own,
                "state": "finished" if name in done else self._state(name),
                **(_reached(done[name]) if name in done else {}),
            }
            for name, own in self.choices.items()
        ]

    def evaluate(self, data: Any = None, **how: Any) -> list[Evaluation]:
        """Measure each finished run as `Run.evaluate` does, in the group's order."""
        if not self.runs:
            raise DataError(f"{self.folder} has no finished run: the same command goes on")
        return [run.evaluate(data, **how) for run in self.runs]

    def _state(self, name: str) -> str:
        return "left out" if name in self.failed else "unfinished"

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of a group."""
        first = self.runs[0].result if self.runs else {}
        return {
            "group": shown(self.folder),
            "differs": list(self.differs),
            "split": first.get("split"),
            "accuracy": self.mean if self.runs else None,
            "sd": self.sd,
            "finished": len(self.runs),
            "unfinished": self.unfinished,
            "failed": self.failed,
            "runs": self.rows(),
        }


def _reached(run: Run) -> dict[str, Any]:
    row, result = kept(run.folder), run.result
    return {
        "validation_accuracy": row.get("validation_accuracy"),
        **{key: result[key] for key in ("split", "n", "accuracy", "best_epoch", "epochs")},
        "train_seconds": result["train_seconds"],
    }
