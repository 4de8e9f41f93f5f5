"""MLflow's tracking: a run there for each run here, which a resumed one goes on with."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from striate import console, files
from striate.errors import DataError, UsageError
from striate.runs import folder
from striate.training.session import Begun, Epoch, Event, Session

from .rows import final, numbers

EXPERIMENT = "striate"  # in it, where MLFLOW_EXPERIMENT_NAME names no other
MOST = 500  # letters of a parameter's value that every version takes


class MLflow:
    """Sends a training's choices and numbers to MLflow, an epoch at a time.

    What cannot be sent later on is said once; the training does not depend on it.
    """

    def __init__(self, uri: str | None = None) -> None:
        """Find MLflow at `uri`, else where its own settings say (MLFLOW_TRACKING_URI)."""
        # Its libraries send usage figures elsewhere unless they are asked not to.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import mlflow
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise UsageError("--mlflow needs the library MLflow: pip install mlflow") from error
        self._errors = (mlflow.exceptions.MlflowException, OSError)
        self._run: str | None = None
        self._step, self._ended = 0, False
        try:
            self._client = MlflowClient(tracking_uri=uri)
            self._uri = str(self._client.tracking_uri)
            self._client.search_experiments(max_results=1)
        except (*self._errors, ImportError) as error:
            raise DataError(f"MLflow at {uri or 'its usual place'}: {_short(error)}") from error

    def __call__(self, session: Session, event: Event) -> None:
        """Send one event, of those that an epoch has one of."""
        with self._sending():
            if isinstance(event, Begun):
                self._begin(session)
            elif isinstance(event, Epoch):
                self._step = event.row["step"]
                self._metrics(numbers(event.row))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Send what was reached, and that the run is finished."""
        with self._sending():
            self._metrics(final(result))
            self._end("FINISHED")

    def close(self) -> None:
        """Say that the run was stopped, if it was not finished."""
        with self._sending():
            if not self._ended:
                self._end("KILLED")

    def _begin(self, session: Session) -> None:
        path = session.folder / folder.MLFLOW
        known = folder.read_json(session.folder, folder.MLFLOW) if path.is_file() else {}
        if known.get("uri") == self._uri:
            self._run = str(known["run_id"])
            self._client.update_run(self._run, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        tags = {"striate.run": str(session.folder.absolute())}
        made = self._client.create_run(experiment, tags=tags, run_name=session.folder.name)
        self._run = made.info.run_id
        files.write(path, files.json_bytes({"uri": self._uri, "run_id": self._run}))
        for key, value in folder.read_recipe(session.folder).items():
            self._client.log_param(self._run, key, str(value)[:MOST])

    def _metrics(self, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        if self._run:
            now = int(time.time() * 1000)
            metrics = [Metric(key, value, now, self._step) for key, value in values.items()]
            self._client.log_batch(self._run, metrics=metrics)

    def _end(self, status: str) -> None:
        self._ended = True
        if self._run:
            self._client.set_terminated(self._run, status)

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            if not self._ended:
                console.say(f"MLflow: {_short(error)}: no more is sent, metrics.jsonl has it all")
            self._run, self._ended = None, True


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
