"""Plan the endpoint on which a base model answers for as long as it is asked, where Bedrock has none of its weights.

docs/adr/0022-a-base-on-an-endpoint.md says why, and what is done where it cannot be had.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from tunedrop.contracts.tune_spec import TuneSpec
from tunedrop.domain.budget import amount
from tunedrop.domain.hosting import HostingRules, hosting_plan, hosting_problems, hosting_quota_name
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel
from tunedrop.domain.model import Record
from tunedrop.domain.plan import BaseEndpointPlan, ServeTarget
from tunedrop.domain.problem import Problem
from tunedrop.domain.quotas import Quota
from tunedrop.domain.run import ASKING

COMING = timedelta(hours=1)
"""How long an endpoint takes to come, at most: SageMaker allows the weights 20 minutes to arrive and 20 to load."""

LARGEST_SHARE = 0.25
"""Of the run's budget that the base may take without having been asked for."""


class BaseChoice(Record):
    """Say where the base model answers, or why it does not."""

    endpoint: BaseEndpointPlan | None = None
    problems: tuple[Problem, ...] = ()
    """What refuses the drop: it asks for an endpoint that cannot be had."""
    warnings: tuple[str, ...] = ()


NO_ENDPOINT = BaseChoice()


def wants_endpoint(spec: TuneSpec, base_model_id: str | None) -> bool:
    """Tell whether an endpoint is to serve the base model, of which Bedrock may have `base_model_id`."""
    asked = spec.evaluate.base
    return "base" in spec.evaluate.against and (asked == "endpoint" or (asked is None and base_model_id is None))


def base_choice(
    spec: TuneSpec,
    model: JumpStartModel,
    artifacts_for: Callable[[str], HostingArtifacts | None],
    quotas_of: Callable[[Collection[str]], Mapping[str, Quota]],
    rules: HostingRules,
    *,
    serve: ServeTarget,
    budget_usd: float | None,
    cap_usd: float | None,
) -> BaseChoice:
    """Plan the base model's endpoint; `artifacts_for` returns None for an instance type that has no image.

    `serve` is what serves the tuned model, which may take an instance of the same type.
    """
    if serve is not ServeTarget.ENDPOINT:
        spec = spec.model_copy(update={"endpoint": None})
    found = _endpoint(spec, model, artifacts_for, rules)
    if isinstance(found, str):
        reason = found
    else:
        instances = 2 if serve is ServeTarget.ENDPOINT else 1
        reason = _too_dear(found, budget_usd, cap_usd) or _over_quota(found, instances, quotas_of)
        if not reason:
            return BaseChoice(endpoint=found)
    if spec.evaluate.base != "endpoint":
        return BaseChoice(warnings=(f"The base model is not compared. {reason}",))
    problem = Problem(
        code="evaluate.base",
        message=f"The base model cannot answer on an endpoint: {reason}",
        where=spec.where("evaluate.base"),
        fix="Clear the cause; or write `base: bedrock`, which compares with Bedrock's own model where it has one, or "
        "`against: [champion]`.",
    )
    return BaseChoice(problems=(problem,))


def contradicted(spec: TuneSpec) -> tuple[Problem, ...]:
    """Refuse to say where a base model answers that is not asked."""
    if spec.evaluate.base is None or "base" in spec.evaluate.against:
        return ()
    return (
        Problem(
            code="evaluate.base-not-asked",
            message="evaluate.base says where the base model answers, and evaluate.against does not name it.",
            where=spec.where("evaluate.base"),
            fix="Add base to against, or leave evaluate.base out.",
        ),
    )


def base_words(base: BaseEndpointPlan) -> str:
    """Say to a person where the base answers, and at what price."""
    price = "at a price that is not known"
    if base.hosting.usd_per_hour is not None and base.most_usd is not None:
        price = f"{base.hosting.usd_per_hour:.2f} USD an hour, {base.most_usd:.2f} USD at most"
    return (
        f"its base model, on an endpoint of its own on {base.hosting.instance_type} for as long as it is asked: "
        f"{price}, on top of the training"
    )


def _endpoint(
    spec: TuneSpec,
    model: JumpStartModel,
    artifacts_for: Callable[[str], HostingArtifacts | None],
    rules: HostingRules,
) -> BaseEndpointPlan | str:
    """Return the endpoint, or why there can be none."""
    if model.hub_content_arn:
        return "A private hub gives its weights out for training alone."
    if problems := hosting_problems(spec, model, rules.policy, rules.stack):
        return problems[0].message
    found: dict[str, HostingArtifacts] = {}

    def known(instance_type: str) -> HostingArtifacts:
        artifacts = artifacts_for(instance_type)
        found[instance_type] = artifacts or HostingArtifacts(image_uri="", environment={})
        return found[instance_type]

    hosting = hosting_plan(spec, model, known, rules)
    artifacts = found[hosting.instance_type]
    if artifacts.weights_uri is None:
        return f"JumpStart names no weights of {model.model_id} that its container serves as they are."
    return BaseEndpointPlan(
        hosting=hosting.model_copy(update={"max_instances": 1, "scale_to_zero": False, "ttl_hours": None}),
        weights_uri=artifacts.weights_uri,
        accept_eula=artifacts.gated_weights,
        required=spec.evaluate.base == "endpoint",
        most_hours=(COMING + ASKING) / timedelta(hours=1),
    )


def _too_dear(base: BaseEndpointPlan, budget_usd: float | None, cap_usd: float | None) -> str:
    """Say why the run's budget, or the stack's monthly cap, has no room for the endpoint; empty where they have."""
    limits = [each for each in (budget_usd, cap_usd) if each is not None]
    if not limits:
        return ""
    if base.most_usd is None:
        return f"The price of {base.hosting.instance_type} is not known, and there is a budget or a cap to keep."
    told = f"Its endpoint may cost {amount(round(base.most_usd, 2))} US dollars"
    if base.most_usd >= min(limits):
        return f"{told}, and the budget or the monthly cap is {amount(min(limits))}."
    if budget_usd is not None and not base.required and base.most_usd > LARGEST_SHARE * budget_usd:
        return (
            f"{told}, more than {LARGEST_SHARE:.0%} of the budget of {amount(budget_usd)}; "
            "`evaluate: {base: endpoint}` asks for it all the same."
        )
    return ""


def _over_quota(
    base: BaseEndpointPlan, instances: int, quotas_of: Callable[[Collection[str]], Mapping[str, Quota]]
) -> str:
    """Say that the account may not have so many instances at once; empty where it may, or nobody knows."""
    name = hosting_quota_name(base.hosting)
    quota = quotas_of([name]).get(name)
    if quota is None or quota.value >= instances:
        return ""
    beside = ", with that of the tuned model" if instances > 1 else ""
    return f"The account's quota '{quota.name}' ({quota.code}) is {quota.value:g}; {instances} would run{beside}."
