"""What a run could not delete, and has left to a person: what it is, what it costs, and how it is deleted."""

from collections.abc import Iterator
from typing import NamedTuple

from tunedrop.domain.plan import ServeTarget
from tunedrop.domain.run import Run


class LeftBehind(NamedTuple):
    """Describe one thing that nobody wants, and that is still there."""

    kind: str
    """`endpoint` or `imported model`."""
    name: str
    """By which AWS deletes it."""
    because: str
    usd_per_hour: float | None
    """Of one instance; None for an imported model, and where no price is known."""
    region: str

    @property
    def words(self) -> str:
        """Say what it is and what it costs."""
        if self.kind == "imported model":
            return f"the imported model {self.name} (Bedrock bills its storage by the month)"
        price = "its price is not known" if self.usd_per_hour is None else f"{self.usd_per_hour:.2f} US dollars an hour"
        return f"the endpoint {self.name} (each of its instances is billed: {price})"

    @property
    def deletion(self) -> tuple[str, str]:
        """Advise how it is deleted: a sentence, and the command that comes first.

        An endpoint has to be without components: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpoint.html
        """
        where = f"--region {self.region}"
        if self.kind == "imported model":
            sentence = "Clear the cause and delete it"
            return sentence, f"aws bedrock delete-imported-model --model-identifier {self.name} {where}"
        then = f"aws sagemaker delete-endpoint --endpoint-name {self.name} {where}"
        component = f"aws sagemaker delete-inference-component --inference-component-name {self.name} {where}"
        return f"Clear the cause and delete its component; once that is gone, `{then}` ends its cost", component


def left_behind(run: Run) -> tuple[LeftBehind, ...]:
    """List what a run has left to a person; empty while deletions are still tried."""
    return tuple(_left_behind(run))


def _left_behind(run: Run) -> Iterator[LeftBehind]:
    region = run.plan.region if run.plan else ""
    served, base = run.deployment, run.base
    if served and served.left:
        on_endpoint = served.target is ServeTarget.ENDPOINT
        hosting = run.plan.hosting if run.plan and on_endpoint else None
        kind = "endpoint" if on_endpoint else "imported model"
        price = hosting.usd_per_hour if hosting else None
        yield LeftBehind(kind, served.model_name, served.left, price, region)
    if base and base.left:
        planned = run.plan.evaluation.base_endpoint if run.plan else None
        price = planned.hosting.usd_per_hour if planned else None
        yield LeftBehind("endpoint", base.name, base.left, price, region)
