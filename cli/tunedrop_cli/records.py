"""The runs as the table holds them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from tunedrop.domain import names
from tunedrop.domain.alias import Alias
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.run import Run
from tunedrop.validation.report import ValidationReport
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError, code

LATEST = "latest"
RUN_ID = re.compile(r"[a-z2-7]{26}")

_SHELVES = ("live", "settled")
_INDEX = "shelf-index"


class RunRecords:
    """Find runs by id, by the beginning of an id, or by age."""

    def __init__(self, stack: Stack) -> None:
        """Read the stack's table and its run bucket."""
        self._table = stack.runs_table
        self._bucket = stack.run_bucket
        self._dynamodb = stack.client("dynamodb")
        self._s3 = stack.client("s3")

    def get(self, run_id: str) -> Run | None:
        """Return a run as last written; None when there is none."""
        key = {"id": {"S": f"run#{run_id}"}}
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _run(answer["Item"]) if "Item" in answer else None

    def newest(self, limit: int, dataset: str | None = None) -> list[Run]:
        """Return the newest runs, newest first; of one dataset, if named."""
        newest = sorted(
            (item for shelf in _SHELVES for item in islice(self._shelf(shelf, dataset), limit)),
            key=lambda item: str(item["created_at"]["S"]),
            reverse=True,
        )
        runs = (self.get(item["id"]["S"].removeprefix("run#")) for item in newest[:limit])
        return [run for run in runs if run]

    def resolve(self, reference: str) -> str:
        """Turn what a person typed (an id, the beginning of one, `latest`) into a run's id.

        A whole id is taken as it is: its run may be about to start.
        """
        if RUN_ID.fullmatch(reference):
            return reference
        if reference == LATEST:
            if newest := self.newest(1):
                return newest[0].run_id
            raise CommandError("There is no run yet.", "Start one: tunedrop drop FOLDER")
        found: list[str] = sorted(
            item["id"]["S"].removeprefix("run#")
            for shelf in _SHELVES
            for item in self._shelf(shelf)
            if item["id"]["S"].startswith(f"run#{reference}")
        )
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandError(
                f'{len(found)} runs begin with "{reference}": {", ".join(found[:5])}', "Type more of the id."
            )
        raise CommandError(f'No run begins with "{reference}".', "List them: tunedrop runs")

    def alias(self, dataset: str) -> Alias:
        """Return who is and was the champion of a dataset; an empty alias when nobody ever was."""
        key = {"id": {"S": f"alias#{dataset}"}}
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _alias(answer["Item"]) if "Item" in answer else Alias(dataset=dataset)

    def aliases(self) -> list[Alias]:
        """Return the aliases of all datasets that have a champion."""
        return [self.alias(item["dataset"]["S"]) for item in self._shelf("alias")]

    def report(self, run_id: str) -> ValidationReport | None:
        """Return the validator's full report; None when the rows were not read."""
        content = self._file(names.report_key(run_id))
        return ValidationReport.model_validate_json(content) if content else None

    def evaluation(self, run_id: str) -> EvaluationReport | None:
        """Return what the answers of a run's evaluation came to; None when there is no such report."""
        content = self._file(names.evaluation_report_key(run_id))
        return EvaluationReport.model_validate_json(content) if content else None

    def page(self, run_id: str) -> bytes | None:
        """Return the report of a run as a page; None while there is none."""
        return self._file(names.run_page_key(run_id))

    def _file(self, key: str) -> bytes | None:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code(error) == "NoSuchKey":
                return None
            raise
        return bytes(answer["Body"].read())

    def _shelf(self, shelf: str, dataset: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the index's entries of one shelf, newest first."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": _INDEX,
            "KeyConditionExpression": "shelf = :shelf",
            "ExpressionAttributeValues": {":shelf": {"S": shelf}},
            "ScanIndexForward": False,
        }
        if dataset:
            query["FilterExpression"] = "dataset = :dataset"
            query["ExpressionAttributeValues"][":dataset"] = {"S": dataset}
        for page in self._dynamodb.get_paginator("query").paginate(**query):
            yield from page["Items"]


def _run(item: dict[str, Any]) -> Run:
    with _readable(item):
        return Run.model_validate_json(item["document"]["S"])


def _alias(item: dict[str, Any]) -> Alias:
    with _readable(item):
        return Alias.model_validate_json(item["document"]["S"])


@contextmanager
def _readable(item: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise CommandError(
            f"The record {item['id']['S']} was written by another version of Tunedrop.",
            "Install the command of the version that is deployed.",
        ) from error
