"""The runs in DynamoDB: one item a run, one item a claim, every write conditional."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from tunedrop.adapters import failures
from tunedrop.domain.decide import settled
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import ClaimHeldError, TransientError, VersionConflictError

if TYPE_CHECKING:
    from botocore.client import BaseClient

logger = logging.getLogger(__name__)

SHELF_INDEX = "shelf-index"
LIVE = "live"
SETTLED = "settled"
NOBODY = "-"
"""The holder of a claim that was given back."""


class DynamoDBRunStore:
    """Keep runs in a table with the key `id` and the index `shelf-index` on (`shelf`, `created_at`)."""

    def __init__(self, client: "BaseClient", table: str) -> None:
        """Use the table through a DynamoDB client."""
        self._client: Any = client
        self._table = table

    def get(self, run_id: str) -> Run | None:
        """Return the run as last written, by a consistent read."""
        with failures.transient():
            answer = self._client.get_item(TableName=self._table, Key=_key(f"run#{run_id}"), ConsistentRead=True)
        return _run(answer["Item"]) if "Item" in answer else None

    def create(self, run: Run) -> bool:
        """Store a new run unless it exists."""
        try:
            with failures.transient():
                self._client.put_item(
                    TableName=self._table, Item=_item(run), ConditionExpression="attribute_not_exists(id)"
                )
        except ClientError as error:
            if failures.code(error) == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def commit(self, before: Run, after: Run) -> Run:
        """Write the run if nobody wrote since, together with the claims that it takes and gives back."""
        stored = after.model_copy(update={"version": before.version + 1})
        put = {
            "TableName": self._table,
            "Item": _item(stored),
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": {"N": str(before.version)}},
        }
        taken = sorted(after.claims - before.claims)
        writes = [
            {"Put": put},
            *({"Put": self._take(claim, after.run_id)} for claim in taken),
            *({"Put": self._give_back(claim, after.run_id)} for claim in sorted(before.claims - after.claims)),
        ]
        try:
            with failures.transient():
                if len(writes) == 1:
                    self._client.put_item(**put)
                else:
                    self._client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            raise self._refusal(error, taken) from error
        return stored

    def live(self, status: RunStatus | None = None) -> Iterator[Run]:
        """Yield the runs on the live shelf, oldest first, each read anew since the index lags behind."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": SHELF_INDEX,
            "KeyConditionExpression": "shelf = :shelf",
            "ExpressionAttributeValues": {":shelf": {"S": LIVE}},
        }
        if status:
            query["FilterExpression"] = "#status = :status"
            query["ExpressionAttributeNames"] = {"#status": "status"}
            query["ExpressionAttributeValues"][":status"] = {"S": status}
        while True:
            with failures.transient():
                page = self._client.query(**query)
            for item in page["Items"]:
                try:
                    run = self.get(item["run_id"]["S"])
                except ValidationError:
                    # Another release wrote it. One record that cannot be read must not hide all the others.
                    logger.exception("Run cannot be read", extra={"run_id": item["run_id"]["S"]})
                    continue
                if run and not settled(run) and (status is None or run.status is status):
                    yield run
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _take(self, claim: str, run_id: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Item": _claim(claim, run_id),
            "ConditionExpression": "attribute_not_exists(id) OR holder IN (:run, :nobody)",
            "ExpressionAttributeValues": {":run": {"S": run_id}, ":nobody": {"S": NOBODY}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _give_back(self, claim: str, run_id: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Item": _claim(claim, NOBODY),
            "ConditionExpression": "attribute_not_exists(id) OR holder IN (:run, :nobody)",
            "ExpressionAttributeValues": {":run": {"S": run_id}, ":nobody": {"S": NOBODY}},
        }

    @staticmethod
    def _refusal(error: ClientError, taken: list[str]) -> Exception:
        match failures.code(error):
            case "ConditionalCheckFailedException":
                return VersionConflictError()
            case "TransactionCanceledException":
                # One reason for each write, in order: the run first, then the claims taken.
                # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
                reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
                codes = [reason.get("Code") for reason in reasons]
                if codes[:1] == ["ConditionalCheckFailed"]:
                    return VersionConflictError()
                for claim, reason in zip(taken, reasons[1:], strict=False):
                    if reason.get("Code") == "ConditionalCheckFailed":
                        holder = reason.get("Item", {}).get("holder", {}).get("S", "another")
                        return ClaimHeldError(claim, holder)
                if "TransactionConflict" in codes:
                    return VersionConflictError()
                return TransientError(str(error))
        unforeseen: Exception = error
        return unforeseen


def _key(identifier: str) -> dict[str, Any]:
    return {"id": {"S": identifier}}


def _claim(claim: str, holder: str) -> dict[str, Any]:
    return {"id": {"S": f"claim#{claim}"}, "kind": {"S": "claim"}, "holder": {"S": holder}}


def _item(run: Run) -> dict[str, Any]:
    attributes = {
        "id": f"run#{run.run_id}",
        "kind": "run",
        "run_id": run.run_id,
        "dataset": run.dataset,
        "status": run.status,
        "previous_status": run.previous_status,
        "change": run.change,
        "reason": run.reason or "-",
        "shelf": SETTLED if settled(run) else LIVE,
        "created_at": run.created_at.isoformat(),
        "updated_at": run.updated_at.isoformat(),
        "document": run.model_dump_json(),
    }
    return {**{name: {"S": value} for name, value in attributes.items()}, "version": {"N": str(run.version)}}


def _run(item: dict[str, Any]) -> Run:
    return Run.model_validate_json(item["document"]["S"])
