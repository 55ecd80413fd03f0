"""Runs in a managed MLflow tracking server, by MLflow's REST API.

MLflow's own client is 140 MB with what it needs; these are six calls. botocore makes them from a model of ours, which
lies in `models/` in the form of AWS's own. They are signed as AWS's plug-in for MLflow signs them, and name the server
in a header, as it does: https://github.com/aws/sagemaker-mlflow
"""

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.tracking import RUN_TAG, TrackedRun

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.config import Config

_MODELS = Path(__file__).with_name("models")

_METRICS_AT_ONCE = 500
_PARAMETERS_AT_ONCE = 100
_TAGS_AT_ONCE = 100
"""MLflow's limits of a batch are 1,000 metrics, 100 parameters, 100 tags.

https://mlflow.org/docs/latest/rest-api.html#request-limits
"""

_CHARACTERS = 500
"""Of a parameter's value, in servers before MLflow 2.10; later ones take 6,000."""

_ENDED = frozenset({"FINISHED", "FAILED", "KILLED"})


def mlflow_client(region: str, config: "Config") -> "BaseClient":
    """Make a client of MLflow's REST API on SageMaker."""
    session = botocore.session.get_session()
    session.get_component("data_loader").search_paths.append(str(_MODELS))
    client: BaseClient = session.create_client("sagemaker-mlflow", region_name=region, config=config)
    return client


class MlflowExperiments:
    """Track runs in one server: an experiment for each dataset."""

    def __init__(self, client: "BaseClient", server_arn: str) -> None:
        """Use a client of `mlflow_client`, and name the server."""
        self._client: Any = client
        self._server = server_arn

    def track(self, run: TrackedRun) -> None:
        """Create the run with all that is told of it, or go on where somebody stopped; one that is complete stays."""
        with failures.transient():
            experiment = self._experiment(run.experiment)
            found = self.find(experiment, run.run_id)
            if found and found["status"] in _ENDED:
                return
            run_id = found["run_id"] if found else self._create(experiment, run)
            for batch in _batches(run):
                self._client.log_batch(server_arn=self._server, run_id=run_id, **batch)
            end = _milliseconds(run.ended_at)
            self._client.update_run(server_arn=self._server, run_id=run_id, status=run.status, end_time=end)

    def experiment(self, name: str) -> str | None:
        """Return the id of an experiment; None when there is none."""
        try:
            answer = self._client.get_experiment_by_name(server_arn=self._server, experiment_name=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
                return None
            raise
        return str(answer["experiment"]["experiment_id"])

    def find(self, experiment: str, run_id: str) -> dict[str, str] | None:
        """Return `run_id` and `status` of a run as MLflow knows it; None when it does not."""
        wanted = f"tags.`{RUN_TAG}` = '{run_id}'"
        answer = self._client.search_runs(
            server_arn=self._server, experiment_ids=[experiment], filter=wanted, max_results=1
        )
        runs = answer.get("runs", [])
        return dict(runs[0]["info"]) if runs else None

    def _experiment(self, name: str) -> str:
        if known := self.experiment(name):
            return known
        try:
            return str(self._client.create_experiment(server_arn=self._server, name=name)["experiment_id"])
        except ClientError:
            if made_meanwhile := self.experiment(name):
                return made_meanwhile
            raise

    def _create(self, experiment: str, run: TrackedRun) -> str:
        answer = self._client.create_run(
            server_arn=self._server,
            experiment_id=experiment,
            run_name=run.name,
            start_time=_milliseconds(run.started_at),
            tags=[{"key": RUN_TAG, "value": run.run_id}],
        )
        return str(answer["run"]["info"]["run_id"])


def _batches(run: TrackedRun) -> Iterator[dict[str, object]]:
    # One and the same time, so that what is told twice is one value to MLflow.
    at = _milliseconds(run.ended_at)
    metrics = [{"key": each.name, "value": each.value, "step": each.step, "timestamp": at} for each in run.metrics]
    parameters = [{"key": name, "value": value[:_CHARACTERS]} for name, value in run.parameters.items()]
    tags = [{"key": name, "value": value} for name, value in run.tags.items()]
    for kind, told, at_once in (
        ("params", parameters, _PARAMETERS_AT_ONCE),
        ("tags", tags, _TAGS_AT_ONCE),
        ("metrics", metrics, _METRICS_AT_ONCE),
    ):
        for first in range(0, len(told), at_once):
            yield {kind: told[first : first + at_once]}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
