"""Answer the part of a managed MLflow tracking server that tracks runs, from MLflow's own store of files.

What is kept can be looked at with MLflow itself: `MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri <data
folder>/mlflow`. Messages are MLflow's own, read and written by its code; only the way to them is ours.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.engine.host import AwsError, Host, IamCheck, Request, Response

if TYPE_CHECKING:
    from mlflow.store.tracking.file_store import FileStore

_PREFIX = "/api/2.0/mlflow/"
_SERVER_HEADER = "x-mlflow-sm-tracking-server-arn"
_ACTIONS = {
    ("GET", "experiments/get-by-name"): "GetExperimentByName",
    ("POST", "experiments/create"): "CreateExperiment",
    ("POST", "runs/search"): "SearchRuns",
    ("POST", "runs/create"): "CreateRun",
    ("POST", "runs/log-batch"): "LogBatch",
    ("POST", "runs/update"): "UpdateRun",
}


class MlflowTracking:
    """Serve one tracking server, whatever ARN a request names."""

    signing_name = "sagemaker-mlflow"
    target_prefix = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: FileStore | None = None

    def start(self, host: Host) -> None:
        """Know where the store lies; MLflow is loaded when it is first asked."""
        self._folder = Path(host.data_dir) / "mlflow"

    def stop(self) -> None:
        """Do nothing: every write is on disk when its request ends."""

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the action of the call, on the server that the header names.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerwithmlflow.html
        """
        return [(f"sagemaker-mlflow:{_action(request)}", request.headers.get(_SERVER_HEADER, "*"), {})]

    async def handle(self, request: Request) -> Response:
        """Answer one request, an error of MLflow's in MLflow's form.

        Raises:
            AwsError: the request names no server.
        """
        if _SERVER_HEADER not in request.headers:
            raise AwsError("ValidationException", f"The header {_SERVER_HEADER} is missing")
        with self._lock:
            store = self._store()
            return _answered(store, _action(request), request)

    def _store(self) -> FileStore:
        if self._opened is None:
            # MLflow asks for that word before it opens a store of files, which it keeps but no longer extends.
            os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
            # Loading it takes seconds, which an engine that tracks nothing should not pay for.
            from mlflow.store.tracking.file_store import FileStore  # noqa: PLC0415 - as said above

            self._opened = FileStore(str(self._folder), str(self._folder))
        return self._opened


def _action(request: Request) -> str:
    path = request.path.removeprefix(_PREFIX)
    action = _ACTIONS.get((request.method, path))
    if action is None:
        raise AwsError("UnknownOperationException", f"The local MLflow has no {request.method} {path}", 404)
    return action


def _answered(store: FileStore, action: str, request: Request) -> Response:
    # As `_store` says.
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos import service_pb2  # noqa: PLC0415
    from mlflow.utils.proto_json_utils import message_to_json, parse_dict  # noqa: PLC0415

    asked = getattr(service_pb2, action)()
    told = json.loads(request.body) if request.body else {key: values[0] for key, values in request.query.items()}
    try:
        parse_dict(told, asked)
        response = _CALLS[action](store, asked, getattr(service_pb2, action).Response())
    except MlflowException as error:
        return _json(error.get_http_status_code(), json.loads(error.serialize_as_json()))
    return _json(200, json.loads(message_to_json(response)))


def _json(status: int, content: Mapping[str, Any]) -> Response:
    return Response(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _get_experiment(store: FileStore, asked: Any, response: Any) -> Any:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as `_store` says
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST  # noqa: PLC0415

    found = store.get_experiment_by_name(asked.experiment_name)
    if found is None:
        raise MlflowException(f"Could not find experiment with name {asked.experiment_name}", RESOURCE_DOES_NOT_EXIST)
    response.experiment.MergeFrom(found.to_proto())
    return response


def _create_experiment(store: FileStore, asked: Any, response: Any) -> Any:
    response.experiment_id = store.create_experiment(asked.name)
    return response


def _search(store: FileStore, asked: Any, response: Any) -> Any:
    from mlflow.entities import ViewType  # noqa: PLC0415 - as `_store` says

    found = store.search_runs(list(asked.experiment_ids), asked.filter, ViewType.ACTIVE_ONLY, asked.max_results)
    response.runs.extend(run.to_proto() for run in found)
    return response


def _create_run(store: FileStore, asked: Any, response: Any) -> Any:
    from mlflow.entities import RunTag  # noqa: PLC0415 - as `_store` says

    tags = [RunTag.from_proto(tag) for tag in asked.tags]
    run = store.create_run(asked.experiment_id, asked.user_id, asked.start_time, tags, asked.run_name)
    response.run.MergeFrom(run.to_proto())
    return response


def _log_batch(store: FileStore, asked: Any, response: Any) -> Any:
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - as `_store` says

    store.log_batch(
        asked.run_id,
        [Metric.from_proto(each) for each in asked.metrics],
        [Param.from_proto(each) for each in asked.params],
        [RunTag.from_proto(each) for each in asked.tags],
    )
    return response


def _update_run(store: FileStore, asked: Any, response: Any) -> Any:
    info = store.update_run_info(asked.run_id, asked.status, asked.end_time, asked.run_name or None)
    response.run_info.MergeFrom(info.to_proto())
    return response


_CALLS: Mapping[str, Callable[[FileStore, Any, Any], Any]] = {
    "GetExperimentByName": _get_experiment,
    "CreateExperiment": _create_experiment,
    "SearchRuns": _search,
    "CreateRun": _create_run,
    "LogBatch": _log_batch,
    "UpdateRun": _update_run,
}
