"""Distributed Map: each item, or batch of items, is a child execution with a status and an event of its own.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from ministack.core.responses import now_iso
from ministack.services import stepfunctions

from local.engine.iam import Iam
from local.engine.step_functions import MAX_PAYLOAD_BYTES, Ended, StepFunctions, current, limited

logger = logging.getLogger("local.engine.distributed_map")

_GET = "arn:aws:states:::s3:getObject"
_PUT = "arn:aws:states:::s3:putObject"
# What is not named here would be ignored, and a workflow would seem to do what it does not.
_KNOWN = {
    "": {
        "Type", "Comment", "Next", "End", "InputPath", "OutputPath", "ResultPath", "ResultSelector", "Retry", "Catch",
        "Label", "ItemProcessor", "ItemReader", "ItemsPath", "ItemSelector", "ItemBatcher", "ResultWriter",
        "MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage",
    },
    "ItemReader": {"Resource", "ReaderConfig", "Parameters"},
    "ItemBatcher": {"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"},
    "ResultWriter": {"Resource", "Parameters"},
}  # fmt: skip
_COUNTED = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "timedOut",
    "aborted",
    "total",
    "resultsWritten",
    "failuresNotRedrivable",
    "pendingRedrive",
)


class DistributedMaps:
    """Run the Map states whose processor has the mode DISTRIBUTED; JSONPath only, items from S3 or from the input."""

    def __init__(self, step_functions: StepFunctions, iam: Iam, concurrency: int) -> None:
        """Take over from ministack.

        Args:
            step_functions: makes the calls of roles, and announces the children.
            iam: decides whether a role may start the children.
            concurrency: the most children of a Map Run at once, where MaxConcurrency allows more.
        """
        self._step_functions = step_functions
        self._iam = iam
        self._concurrency = concurrency
        stepfunctions._run_distributed_map = self._run

    def _run(
        self,
        state: dict[str, Any],
        raw_input: Any,
        effective: Any,
        processor: dict[str, Any],
        execution: dict[str, Any],
        context: dict[str, Any],
    ) -> tuple[Any, str | None]:
        """Run the state once.

        Returns:
            The state's output and the next state's name.
        """
        _refuse_unknown(state, context)
        role_arn, machine_arn = current.get().role_arn, execution["stateMachineArn"]
        if not self._iam.role_may(role_arn, "states:StartExecution", machine_arn):
            raise stepfunctions._ExecutionError(
                "States.Permissions", f"{role_arn} may not states:StartExecution on {machine_arn}"
            )
        items = self._items(state, effective, context, role_arn)
        work = [(item, 1) for item in items]
        if "ItemBatcher" in state:
            work = list(_batches(items, _resolved(state["ItemBatcher"], effective, context)))
        map_run = _MapRun(self._step_functions, state, processor, execution, context, work)
        exceeded = map_run.finish(min(state.get("MaxConcurrency") or self._concurrency, self._concurrency))
        result: Any = map_run.outputs
        if "ResultWriter" in state:
            result = self._write(state["ResultWriter"], _resolved(state["ResultWriter"], effective, context), map_run)
        if exceeded:
            raise stepfunctions._ExecutionError(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
            )
        result = stepfunctions._apply_result_selector(state, limited(result, "The Map state's output"))
        output = stepfunctions._apply_result_path(state, raw_input, result)
        return stepfunctions._apply_output_path(state, output, context), stepfunctions._next_or_end(state)

    def _items(self, state: dict[str, Any], effective: Any, context: dict[str, Any], role_arn: str) -> list[Any]:
        if "ItemReader" in state:
            items = self._read(state["ItemReader"], _resolved(state["ItemReader"], effective, context), role_arn)
        else:
            items = stepfunctions._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, context)
        if not isinstance(items, list):
            raise stepfunctions._ExecutionError("States.ItemReaderFailed", "Attempting to map over non-iterable node.")
        selector = state.get("ItemSelector")
        if selector is None:
            return items
        return [
            _resolved(selector, effective, {**context, "Map": {"Item": {"Index": index, "Value": item}}})
            for index, item in enumerate(items)
        ]

    def _read(self, reader: dict[str, Any], resolved: dict[str, Any], role_arn: str) -> Any:
        if reader["Resource"] != _GET:
            raise stepfunctions._ExecutionError("States.Runtime", f"The embedded AWS cannot run {reader['Resource']}")
        config = reader.get("ReaderConfig", {})
        try:
            answer = self._step_functions.client("s3", role_arn).get_object(**resolved["Parameters"])
            items = stepfunctions._parse_reader_items(answer["Body"].read().decode(), config)
        except (ClientError, BotoCoreError, ValueError) as error:
            raise stepfunctions._ExecutionError("States.ItemReaderFailed", str(error)) from error
        return items[: config["MaxItems"]] if config.get("MaxItems") else items

    def _write(self, writer: dict[str, Any], resolved: dict[str, Any], map_run: _MapRun) -> dict[str, Any]:
        """Store what the children gave.

        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html

        Returns:
            What takes the place of the outputs.
        """
        if writer["Resource"] != _PUT:
            raise stepfunctions._ExecutionError("States.Runtime", f"The embedded AWS cannot run {writer['Resource']}")
        s3, bucket = self._step_functions.client("s3", current.get().role_arn), resolved["Parameters"]["Bucket"]
        folder = f"{resolved['Parameters'].get('Prefix', '')}/{map_run.arn.rsplit(':', 1)[-1]}".lstrip("/")
        files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
        try:
            for status in ("FAILED", "SUCCEEDED"):
                rows = map_run.rows(status)
                if rows:
                    key, body = f"{folder}/{status}_0.json", json.dumps(rows).encode()
                    s3.put_object(Bucket=bucket, Key=key, Body=body)
                    files[status].append({"Key": key, "Size": len(body)})
            manifest = {"DestinationBucket": bucket, "MapRunArn": map_run.arn, "ResultFiles": files}
            s3.put_object(Bucket=bucket, Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())
        except (ClientError, BotoCoreError) as error:
            raise stepfunctions._ExecutionError("States.ResultWriterFailed", str(error)) from error
        return {
            "MapRunArn": map_run.arn,
            "ResultWriterDetails": {"Bucket": bucket, "Key": f"{folder}/manifest.json"},
        }


class _MapRun:
    """Run the children of a Map state, a few at once, until all are done, too many failed, or the parent is over."""

    def __init__(
        self,
        step_functions: StepFunctions,
        state: dict[str, Any],
        processor: dict[str, Any],
        execution: dict[str, Any],
        context: dict[str, Any],
        work: list[tuple[Any, int]],
    ) -> None:
        self._step_functions = step_functions
        self._processor = processor
        self._context = context
        self._standard = processor["ProcessorConfig"].get("ExecutionType", "STANDARD") == "STANDARD"
        self._machine_arn = f"{execution['stateMachineArn']}/{state.get('Label') or uuid.uuid4()}"
        self.arn = f"{self._machine_arn.replace(':stateMachine:', ':mapRun:')}:{uuid.uuid4()}"
        self._limits = [
            (state.get("ToleratedFailureCount"), 1),
            (state.get("ToleratedFailurePercentage"), sum(count for _, count in work) / 100),
        ]
        self._work = work
        self._todo = iter(range(len(work)))
        self._children: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._parent = current.get()
        self._run = self._parent.nest()
        total = sum(count for _, count in work)
        self._items = dict.fromkeys(_COUNTED, 0) | {"total": total, "pending": total}
        self._executions = dict.fromkeys(_COUNTED, 0) | {"total": len(work), "pending": len(work)}
        self._record = {
            "mapRunArn": self.arn,
            "executionArn": execution["executionArn"],
            "status": "RUNNING",
            "startDate": now_iso(),
            "maxConcurrency": state.get("MaxConcurrency", 0),
            "toleratedFailurePercentage": state.get("ToleratedFailurePercentage", 0),
            "toleratedFailureCount": state.get("ToleratedFailureCount", 0),
            "itemCounts": self._items,
            "executionCounts": self._executions,
            "redriveCount": 0,
            "_stateMachineArn": self._machine_arn,
        }
        stepfunctions._map_runs[self.arn] = self._record

    @property
    def outputs(self) -> list[Any]:
        """What the children gave, in the order of the items; None for one that failed."""
        return [json.loads(child["output"] or "null") for _, child in sorted(self._children.items())]

    def rows(self, status: str) -> list[dict[str, Any]]:
        """Describe the children of a status as a result file does, in the order in which they ended."""
        children = [child for child in self._children.values() if child["status"] == status]
        return [_row(child) for child in sorted(children, key=lambda child: str(child["stopDate"]))]

    def finish(self, concurrency: int) -> bool:
        """Run the children; return whether more failed than is tolerated.

        Raises:
            Ended: the parent is over.
        """
        for _ in range(min(concurrency, len(self._work))):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._run_children,), daemon=True, name="map-run").start()
        if not self._work:
            self._run.end()
        self._run.wait()
        for index, child in list(self._children.items()):
            self._end(index, child, "ABORTED")
        exceeded = self._exceeded()
        aborted = "ABORTED" if self._parent.over else "SUCCEEDED"
        self._record.update(status="FAILED" if exceeded else aborted, stopDate=now_iso())
        self._parent.check()
        return exceeded

    def _run_children(self) -> None:
        current.set(self._run)
        while (index := self._next()) is not None:
            child = self._children[index]
            try:
                output = self._walk(child)
            except Ended:
                return
            except stepfunctions._ExecutionError as error:
                self._end(index, child, "FAILED", error=error.error, cause=error.cause)
            except Exception as error:
                logger.exception("%s failed", child["executionArn"])
                self._end(index, child, "FAILED", error="States.Runtime", cause=str(error))
            else:
                self._end(index, child, "SUCCEEDED", output=json.dumps(output))

    def _walk(self, child: dict[str, Any]) -> Any:
        content = json.loads(child["input"])
        # A child is an execution of its own: it sees nothing of its parent's context.
        context = {
            "QueryLanguage": self._context["QueryLanguage"],
            "Execution": {
                "Id": child["executionArn"],
                "Input": content,
                "Name": child["name"],
                "StartTime": child["startDate"],
            },
            "StateMachine": {"Id": self._machine_arn, "Name": self._machine_arn.rsplit(":", 1)[-1]},
            "variables": {},
        }
        states, first = self._processor["States"], self._processor["StartAt"]
        limited(content, "The child's input")
        return limited(stepfunctions._run_sub_machine(states, first, content, child, context), "The child's output")

    def _next(self) -> int | None:
        """Begin the next child, unless there is none or the Map Run is over."""
        with self._lock:
            index = None if self._run.over else next(self._todo, None)
            if index is None:
                return None
            content, items = self._work[index]
            name = str(uuid.uuid4())
            child = {
                "executionArn": f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
                "stateMachineArn": self._machine_arn,
                "mapRunArn": self.arn,
                "name": name,
                "status": "RUNNING",
                "startDate": now_iso(),
                "stopDate": None,
                "input": json.dumps(content),
                "output": None,
                "error": None,
                "cause": None,
                "events": [],
            }
            stepfunctions._executions[child["executionArn"]] = child
            self._children[index] = child
            self._move("pending", "running", items)
        if self._standard:
            self._step_functions.announce(child)
        return index

    def _end(self, index: int, child: dict[str, Any], status: str, **fields: Any) -> None:
        if not self._step_functions.end(child, status, announced=self._standard, **fields):
            return
        with self._lock:
            self._move("running", status.lower(), self._work[index][1])
            unfinished = self._executions["pending"] + self._executions["running"]
            if self._exceeded() or not unfinished:
                self._run.end()

    def _move(self, before: str, after: str, items: int) -> None:
        for counts, number in ((self._items, items), (self._executions, 1)):
            counts[before] -= number
            counts[after] += number

    def _exceeded(self) -> bool:
        """Tell whether more items failed than one of the limits; without limits, one is too many."""
        failed = self._items["failed"]
        given = [limit * unit for limit, unit in self._limits if limit is not None]
        return failed > min(given, default=0)


def _refuse_unknown(state: dict[str, Any], context: dict[str, Any]) -> None:
    unknown = {
        f"{part}.{name}".lstrip(".")
        for part, known in _KNOWN.items()
        for name in (state.get(part, {}) if part else state)
        if name not in known
    }
    if unknown or stepfunctions._state_query_language(state, context) != "JSONPath":
        what = ", ".join(sorted(unknown)) or "JSONata"
        raise stepfunctions._ExecutionError(
            "States.Runtime", f"The embedded AWS does not know {what} in a Distributed Map"
        )


def _resolved(template: Any, effective: Any, context: dict[str, Any]) -> Any:
    return stepfunctions._resolve_params_obj(template, effective, context)


def _batches(items: list[Any], batcher: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Group items into inputs of children; yields each with its number of items."""
    most = batcher.get("MaxItemsPerBatch") or len(items)
    limit = min(batcher.get("MaxInputBytesPerBatch", MAX_PAYLOAD_BYTES), MAX_PAYLOAD_BYTES)
    head = {"BatchInput": batcher["BatchInput"]} if "BatchInput" in batcher else {}
    least = len(json.dumps({**head, "Items": []}))
    batch: list[Any] = []
    size = least
    for item in items:
        length = len(json.dumps(item)) + len(", ")
        if batch and (len(batch) == most or size + length > limit):
            yield {**head, "Items": batch}, len(batch)
            batch, size = [], least
        batch.append(item)
        size += length
    if batch:
        yield {**head, "Items": batch}, len(batch)


def _row(child: dict[str, Any]) -> dict[str, Any]:
    succeeded = child["status"] == "SUCCEEDED"
    row = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE" if succeeded else "REDRIVABLE",
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": child["stopDate"],
    }
    if succeeded:
        return {**row, "Output": child["output"], "OutputDetails": {"Included": True}}
    return {**row, "Error": child["error"], "Cause": child["cause"]}
