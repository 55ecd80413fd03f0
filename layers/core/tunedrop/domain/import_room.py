"""What room Bedrock has for another imported model, told before a training is paid for.

https://docs.aws.amazon.com/bedrock/latest/userguide/quotas.html
"""

from tunedrop.domain.model import Record
from tunedrop.domain.plan import Plan
from tunedrop.domain.problem import Problem

USUAL_LIMIT = 3
"""Imported models of an account whose quota is not told; of import jobs one runs at a time, whatever one asks for."""

QUOTA_SERVICE, QUOTA_CODE = "bedrock", "L-45B04988"
"""Where Service Quotas keeps the number of imported models."""


class ImportRoom(Record):
    """Say how full Bedrock is when a run is planned."""

    models: int
    """Imported models of the account, whoever imported them."""
    limit: int
    importing: str | None = None
    """The import job that runs now."""
    making_room: str = ""
    """Where it is full: who of this stack can make room, in a sentence; empty where nobody looked."""

    @property
    def full(self) -> bool:
        """Whether another model has to wait until one is deleted."""
        return self.models >= self.limit

    def words(self) -> str:
        """Tell it on one line."""
        now = f"; {self.importing} is being imported now" if self.importing else ""
        return f"{self.models} of {self.limit} imported models of the account{now}"


def with_room(plan: Plan, room: ImportRoom) -> Plan | tuple[Problem, ...]:
    """Warn of what the import will wait for; a problem where the account may import nothing, however long it waits."""
    if room.limit < 1:
        message = (
            f"The account may have no imported models in {plan.region}: its quota 'Imported models per account' "
            f"({QUOTA_CODE}) is {room.limit}. The training would be paid for in vain."
        )
        fix = f"Request more: {_request(plan.region, USUAL_LIMIT)}"
        return (Problem(code="quota.no-imports", message=message, where="tune.yaml: serve", fix=fix),)
    warnings = [*plan.warnings]
    if room.full:
        warnings.append(
            f"Bedrock holds {room.models} imported models, and the account may have {room.limit} (quota {QUOTA_CODE}). "
            f"{room.making_room or 'A former champion of the stack makes room, if there is one.'} Should there be no "
            "room when the training has ended, the import waits for 24 hours, and the run then fails; the trained "
            "weights are kept. To make room: `aws bedrock list-imported-models`, and `aws bedrock "
            f"delete-imported-model --model-identifier NAME`; to have more: {_request(plan.region, room.limit + 1)}"
        )
    if room.importing:
        warnings.append(
            f"Bedrock imports one model at a time, and {room.importing} is being imported now: should it not be done "
            "when the training has ended, the import of this run waits. That quota cannot be raised."
        )
    return plan.model_copy(update={"warnings": tuple(warnings)})


def with_room_unseen(plan: Plan, reason: str) -> Plan:
    """Warn that nobody may see what room there is: whoever may not look, may not import either, it may be."""
    warning = (
        "How much room Bedrock has for another imported model is not known, for AWS denies that it is looked at: "
        f"{reason} Should a policy deny the import as well, the training is in vain; ask those who keep the account."
    )
    return plan.model_copy(update={"warnings": (*plan.warnings, warning)})


def _request(region: str, wanted: int) -> str:
    return (
        f"`aws service-quotas request-service-quota-increase --service-code {QUOTA_SERVICE} --quota-code {QUOTA_CODE} "
        f"--desired-value {wanted} --region {region}`."
    )
