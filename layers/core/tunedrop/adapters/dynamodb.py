"""The runs in DynamoDB: one item a run, a claim, a month's account, and an alias; every write conditional."""

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from tunedrop.adapters import failures
from tunedrop.domain import budget
from tunedrop.domain.alias import Alias, newly_promoted
from tunedrop.domain.budget import Charge, Ledger
from tunedrop.domain.decide import settled
from tunedrop.domain.run import Run, Tracked
from tunedrop.errors import (
    CapReachedError,
    ChampionChangedError,
    ClaimHeldError,
    TransientError,
    VersionConflictError,
)

if TYPE_CHECKING:
    from botocore.client import BaseClient

logger = logging.getLogger(__name__)

SHELF_INDEX, TRACKED_INDEX = "shelf-index", "tracked-index"
RUN = "run#"
"""As the keys of runs begin."""
LIVE = "live"
SETTLED = "settled"
ALIAS = "alias"
NOBODY = "-"
"""The holder of a claim that was given back."""

MOST_KEYS = 100
"""Keys of one BatchGetItem: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""

CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds, each made random, between the tries of a transaction that met another one on the same item.

Drops that come at once meet on the month's account. boto3 does not try a cancelled transaction again by itself.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
"""


class _NoLedgerError(Exception):
    """The month's item is yet to be made."""

    def __init__(self, month: str) -> None:
        super().__init__(month)
        self.month = month


class DynamoDBRunStore:
    """Keep runs in a table with the key `id` and the indices `shelf-index` and `tracked-index`."""

    def __init__(self, client: "BaseClient", table: str, cap_cents: int | None = None) -> None:
        """Use the table through a DynamoDB client; `cap_cents` is what a month's jobs may cost, None for any amount."""
        self._client: Any = client
        self._table = table
        self._cap = cap_cents

    def get(self, run_id: str) -> Run | None:
        """Return the run as last written, by a consistent read."""
        with failures.transient():
            answer = self._client.get_item(TableName=self._table, Key=_key(f"{RUN}{run_id}"), ConsistentRead=True)
        return _run(answer["Item"]) if "Item" in answer else None

    def create(self, run: Run) -> bool:
        """Store a new run unless it exists."""
        try:
            with failures.transient():
                self._client.put_item(
                    TableName=self._table, Item=_item(run), ConditionExpression="attribute_not_exists(id)"
                )
        except ClientError as error:
            match failures.code(error):
                case "ConditionalCheckFailedException":
                    return False
                case "TransactionConflictException":  # delivered twice: the other worker writes it at this moment
                    raise TransientError(failures.message(error)) from error
            raise
        return True

    def commit(self, before: Run, after: Run) -> Run:
        """Write the run if nobody wrote since, with the claims and charges that it opens and closes."""
        stored = after.model_copy(update={"version": before.version + 1})
        put = {
            "TableName": self._table,
            "Item": _item(stored),
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": {"N": str(before.version)}},
        }
        taken = sorted(after.claims - before.claims)
        reserved = list(budget.opened(before.charges, after.charges))
        settled_now = list(budget.settled(before.charges, after.charges))
        # Claims and reservations, which may be refused, come right after the run, in this order: see `_refusal`.
        writes = [
            {"Put": put},
            *({"Put": self._take(claim, after.run_id)} for claim in taken),
            *({"Update": self._reserve(charge)} for charge in reserved),
            *({"Put": self._give_back(claim, after.run_id)} for claim in sorted(before.claims - after.claims)),
            *({"Update": self._settle(charge, actual)} for charge, actual in settled_now),
            *({"Put": alias} for alias in self._promote(before, after)),
        ]
        for pause in (*CONFLICT_PAUSES, None):
            try:
                with failures.transient():
                    if len(writes) == 1:
                        self._client.put_item(**put)
                    else:
                        self._client.transact_write_items(TransactItems=writes)
            except ClientError as error:
                if pause is not None and _met_another(error):
                    time.sleep(random.uniform(0, pause))  # noqa: S311 - no secret
                    continue
                refusal = self._refusal(error, taken, reserved)
                if pause is not None and isinstance(refusal, _NoLedgerError):
                    self._open_month(refusal.month)
                    continue
                raise refusal from error
            return stored
        raise AssertionError("the last try neither wrote nor was refused")

    def live(self) -> Iterator[Run]:
        """Yield the runs on the live shelf, oldest first, read anew since the index lags behind."""
        shelf = [item["run_id"]["S"] for item in self._shelf(LIVE)]
        yield from (run for run in self.read(shelf) if not settled(run))

    def tracked(self) -> Mapping[Tracked, Sequence[str]]:
        """Return what an index of nothing else shows: no run is read for it."""
        return {
            each: [item["id"]["S"].removeprefix(RUN) for item in self._query(TRACKED_INDEX, "tracked", each)]
            for each in Tracked
        }

    def read(self, run_ids: Sequence[str]) -> Iterator[Run]:
        """Yield runs by consistent reads, a hundred at a time and no more of them than are asked for."""
        for first in range(0, len(run_ids), MOST_KEYS):
            yield from self._read(run_ids[first : first + MOST_KEYS])

    def _read(self, run_ids: Sequence[str]) -> Iterator[Run]:
        keys = [_key(f"{RUN}{run_id}") for run_id in run_ids]
        with failures.transient():
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
        items = {item["run_id"]["S"]: item for item in answer["Responses"].get(self._table, [])}
        for run_id in run_ids:
            try:
                # What a throttled table, or an answer that is full at 16 MB, leaves out is asked for by itself.
                run = _run(items[run_id]) if run_id in items else self.get(run_id)
            except ValidationError:
                # Another release wrote it. One record that cannot be read must not hide all the others.
                logger.exception("Run cannot be read", extra={"run_id": run_id})
                continue
            if run:
                yield run

    def created_since(self, time: datetime) -> Iterator[str]:
        """Yield the ids that the index shows: a hundred times cheaper than reading each run, and never ahead of it."""
        for shelf in (LIVE, SETTLED):
            for item in self._shelf(shelf, since=time):
                yield item["run_id"]["S"]

    def alias(self, dataset: str) -> Alias:
        """Return the alias of a dataset, by a consistent read."""
        key = _key(f"alias#{dataset}")
        with failures.transient():
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in answer:
            return Alias(dataset=dataset)
        return Alias.model_validate_json(answer["Item"]["document"]["S"])

    def datasets(self) -> Iterator[str]:
        """Yield the datasets whose aliases the index shows."""
        for item in self._shelf(ALIAS):
            yield item["dataset"]["S"]

    def _shelf(self, shelf: str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        return self._query(SHELF_INDEX, "shelf", shelf, since)

    def _query(self, index: str, key: str, value: str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        values = {f":{key}": {"S": value}} | ({":since": {"S": since.isoformat()}} if since else {})
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": f"{key} = :{key}" + (" AND created_at >= :since" if since else ""),
            "ExpressionAttributeValues": values,
        }
        while True:
            with failures.transient():
                page = self._client.query(**query)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _promote(self, before: Run, after: Run) -> Iterator[dict[str, Any]]:
        """Yield the write of the alias, when the run becomes its dataset's champion."""
        promotion = newly_promoted(before, after)
        if promotion is None:
            return
        alias = self.alias(after.dataset)
        if not alias.allows(promotion):
            raise ChampionChangedError(alias.champion.run_id if alias.champion else None)
        yield {
            "TableName": self._table,
            "Item": _alias_item(alias.with_champion(after)),
            "ConditionExpression": "attribute_not_exists(id) OR version = :version",
            "ExpressionAttributeValues": {":version": {"N": str(alias.version)}},
        }

    def ledger(self, month: str) -> Ledger:
        """Return the month's account, by a consistent read."""
        with failures.transient():
            answer = self._client.get_item(TableName=self._table, Key=_key(f"ledger#{month}"), ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            return Ledger(month=month)
        reserved = {job: int(amount["N"]) for job, amount in item["reserved"]["M"].items()}
        return Ledger(month=month, reserved=reserved, spent=int(item["spent"]["N"]))

    def _open_month(self, month: str) -> None:
        item = {
            **_key(f"ledger#{month}"),
            "kind": {"S": "ledger"},
            "committed": {"N": "0"},
            "spent": {"N": "0"},
            "reserved": {"M": {}},
        }
        try:
            with failures.transient():
                self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(id)")
        except ClientError as error:
            # Another run was first, or its transaction is at this very item.
            if failures.code(error) not in ("ConditionalCheckFailedException", "TransactionConflictException"):
                raise

    def _reserve(self, charge: Charge) -> dict[str, Any]:
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": _key(f"ledger#{charge.month}"),
            "UpdateExpression": "SET committed = committed + :cents, reserved.#job = :cents",
            "ConditionExpression": "attribute_exists(id)",
            "ExpressionAttributeNames": {"#job": charge.job_name},
            "ExpressionAttributeValues": {":cents": {"N": str(charge.most_cents)}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self._cap is None:
            return update
        room = {":room": {"N": str(self._cap - charge.most_cents)}}
        return update | {
            # Never true of an item that is not there.
            "ConditionExpression": "committed <= :room",
            "ExpressionAttributeValues": update["ExpressionAttributeValues"] | room,
        }

    def _settle(self, charge: Charge, actual: int) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "Key": _key(f"ledger#{charge.month}"),
            "UpdateExpression": "SET committed = committed + :difference, spent = spent + :actual REMOVE reserved.#job",
            "ExpressionAttributeNames": {"#job": charge.job_name},
            "ExpressionAttributeValues": {
                ":difference": {"N": str(actual - charge.most_cents)},
                ":actual": {"N": str(actual)},
            },
        }

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

    def _refusal(self, error: ClientError, taken: list[str], reserved: list[Charge]) -> Exception:
        match failures.code(error):
            case "ConditionalCheckFailedException" | "TransactionConflictException":
                return VersionConflictError()
            case "TransactionCanceledException":
                # One reason for each write, in order: the run first, then the claims taken and the room reserved.
                # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
                reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
                codes = [reason.get("Code") for reason in reasons]
                if codes[:1] == ["ConditionalCheckFailed"]:
                    return VersionConflictError()
                for claim, reason in zip(taken, reasons[1:], strict=False):
                    if reason.get("Code") == "ConditionalCheckFailed":
                        holder = reason.get("Item", {}).get("holder", {}).get("S", "another")
                        return ClaimHeldError(claim, holder)
                for charge, reason in zip(reserved, reasons[1 + len(taken) :], strict=False):
                    if reason.get("Code") == "ConditionalCheckFailed":
                        if not reason.get("Item"):
                            return _NoLedgerError(charge.month)
                        return CapReachedError(int(reason["Item"]["committed"]["N"]), self._cap or 0)
                # The one other write under a condition is the alias: whoever starts over finds the champion changed.
                if codes[-1:] == ["ConditionalCheckFailed"] or "TransactionConflict" in codes:
                    return VersionConflictError()
                return TransientError(str(error))
        unforeseen: Exception = error
        return unforeseen


def _met_another(error: ClientError) -> bool:
    """Tell whether nothing but other transactions was in the way: of a transaction, or of a single write.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html#API_PutItem_Errors
    """
    if failures.code(error) == "TransactionConflictException":
        return True
    reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons} - {"None", None}
    return failures.code(error) == "TransactionCanceledException" and codes == {"TransactionConflict"}


def _key(identifier: str) -> dict[str, Any]:
    return {"id": {"S": identifier}}


def _claim(claim: str, holder: str) -> dict[str, Any]:
    return {"id": {"S": f"claim#{claim}"}, "kind": {"S": "claim"}, "holder": {"S": holder}}


def _item(run: Run) -> dict[str, Any]:
    attributes = {
        "id": f"{RUN}{run.run_id}",
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
        **({"tracked": run.tracked} if run.tracked else {}),
    }
    return {**{name: {"S": value} for name, value in attributes.items()}, "version": {"N": str(run.version)}}


def _alias_item(alias: Alias) -> dict[str, Any]:
    champion, former = alias.champion, alias.former
    if champion is None:
        raise AssertionError(f"the alias {alias.dataset} has no champion")
    attributes = {
        "id": f"alias#{alias.dataset}",
        "kind": "alias",
        "shelf": ALIAS,
        "created_at": alias.history[0].since.isoformat(),
        "dataset": alias.dataset,
        "run_id": champion.run_id,
        "model_arn": champion.model_arn,
        "promoted_by": champion.by,
        # The pipe's template finds every attribute, always.
        "previous_run_id": former.run_id if former else "",
        "previous_model_arn": former.model_arn if former else "",
        "document": alias.model_dump_json(),
    }
    return {**{name: {"S": value} for name, value in attributes.items()}, "version": {"N": str(alias.version)}}


def _run(item: dict[str, Any]) -> Run:
    return Run.model_validate_json(item["document"]["S"])
