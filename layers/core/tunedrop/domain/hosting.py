"""Plan the SageMaker endpoint of a tuned model: JumpStart's own container and environment, on an instance it names.

docs/serving.md says what comes of it, and when it costs what.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tunedrop.contracts.tune_spec import EndpointSpec, TuneSpec
from tunedrop.domain.data_target import devices
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel
from tunedrop.domain.plan import HostingPlan, Plan, VpcConfig
from tunedrop.domain.policy import Policy
from tunedrop.domain.policy import problems as policy_problems
from tunedrop.domain.pricing import Price
from tunedrop.domain.problem import Problem
from tunedrop.domain.quotas import Quota

ALWAYS_ON_TTL_HOURS = 24.0
"""Hours without a call after which an endpoint that keeps its instance is taken down, unless `tune.yaml` says other."""

LEAST_MEMORY_MB = 1024
"""What a copy asks of the host's memory where JumpStart says nothing; the accelerators decide how many fit."""

_SPEC = EndpointSpec()


def hosting_instance_type(spec: TuneSpec, model: JumpStartModel, policy: Policy) -> str | None:
    """Choose the type: what `tune.yaml` names, JumpStart's own, or the first that the policy allows; None for none."""
    if spec.endpoint and spec.endpoint.instance_type:
        return spec.endpoint.instance_type
    default = model.default_hosting_instance_type
    types = (*((default,) if default else ()), *model.hosting_instance_types)
    return next((each for each in types if policy.allows_instance_type(each)), default)


def hosting_problems(spec: TuneSpec, model: JumpStartModel, policy: Policy, stack: str) -> tuple[Problem, ...]:
    """Say what keeps an endpoint of the stack from serving the model."""
    if stack != stack.lower():
        return (
            Problem(
                code="endpoint.stack-name",
                message=f"The stack's name, {stack}, has capitals: SageMaker writes an endpoint's in lower case, and "
                "the stack may only make what begins with its own name.",
                where=spec.where("serve"),
                fix="Deploy a stack whose name is in lower case, or choose a model that Bedrock imports.",
            ),
        )
    instance_type = hosting_instance_type(spec, model, policy)
    if instance_type is None:
        return (
            Problem(
                code="endpoint.not-hostable",
                message=f"JumpStart names no instance type to serve {model.model_id} {model.version} on.",
                where=spec.where("serve"),
                fix="Choose a model that it serves, or write `serve: bedrock` for one that Bedrock imports.",
            ),
        )
    problems = []
    if instance_type not in model.hosting_instance_types:
        problems.append(
            Problem(
                code="endpoint.instance-unsupported",
                message=f"{model.model_id} cannot be served on {instance_type}.",
                where=spec.where("endpoint.instance_type"),
                fix=f"Use one of {', '.join(model.hosting_instance_types)}, or leave it out for "
                f"{model.default_hosting_instance_type}.",
            )
        )
    own = policy_problems(policy, model, instance_type, lambda _key: spec.where("endpoint.instance_type"))
    problems += [each for each in own if each.code == "policy.instance-type"]
    return tuple(problems)


@dataclass(frozen=True)
class HostingRules:
    """Say what the stack, not the user, decides about endpoints."""

    policy: Policy
    price: Callable[[str], Price | None]
    """Of an instance type."""
    vpc: VpcConfig | None
    kms_key_arn: str | None
    isolated: bool
    """Whether no container has a network, whatever JumpStart says."""
    stack: str
    """As the names of endpoints begin."""


def hosting_plan(
    spec: TuneSpec, model: JumpStartModel, artifacts_for: Callable[[str], HostingArtifacts], rules: HostingRules
) -> HostingPlan:
    """Return the endpoint's plan; raises ValueError where `hosting_problems` finds any."""
    instance_type = hosting_instance_type(spec, model, rules.policy)
    if instance_type is None:
        raise ValueError(f"{model.model_id} cannot be hosted")
    asked, artifacts, known = spec.endpoint or _SPEC, artifacts_for(instance_type), rules.price(instance_type)
    ttl_hours = asked.ttl_hours
    if ttl_hours is None and not asked.scale_to_zero:
        ttl_hours = ALWAYS_ON_TTL_HOURS
    return HostingPlan(
        image_uri=artifacts.image_uri,
        environment={**artifacts.environment, **_MESSAGES},
        instance_type=instance_type,
        accelerators=devices(instance_type) or 0,
        memory_mb=artifacts.memory_mb or LEAST_MEMORY_MB,
        max_instances=asked.max_instances,
        scale_to_zero=asked.scale_to_zero,
        ttl_hours=ttl_hours,
        network_isolation=model.hosting_network_isolation or rules.isolated,
        kms_key_arn=rules.kms_key_arn,
        vpc=rules.vpc,
        usd_per_hour=known.usd_per_hour if known else None,
        price_source=known.source if known else None,
    )


_MESSAGES = {"MESSAGES_API_ENABLED": "true"}
"""What Hugging Face's container (TGI) needs to take conversations; DJL's (LMI) and vLLM's take them anyway."""


def hosting_quota_name(hosting: HostingPlan) -> str:
    """Name the account's quota that the endpoint's instances count against."""
    return f"{hosting.instance_type} for endpoint usage"


def hosting_within_quota(plan: Plan, quotas: Mapping[str, Quota]) -> tuple[Problem, ...]:
    """Refuse an endpoint of which the account may have no instance; a quota that is not known refuses nothing."""
    quota = quotas.get(hosting_quota_name(plan.hosting)) if plan.hosting else None
    if plan.hosting is None or quota is None or quota.value >= 1:
        return ()
    return (
        Problem(
            code="quota.zero",
            message=f"The account's quota '{quota.name}' ({quota.code}) is 0 in {plan.region}.",
            where="tune.yaml: endpoint.instance_type",
            fix=f"Request more: `aws service-quotas request-service-quota-increase --service-code sagemaker "
            f"--quota-code {quota.code} --desired-value 1 --region {plan.region}`. Then drop again; or name an "
            "endpoint.instance_type that the account may use.",
        ),
    )


def hosting_words(hosting: HostingPlan) -> tuple[str, ...]:
    """Say to a person what the endpoint is, what it costs and when it goes, a sentence each."""
    price = "at a price that is not known"
    if hosting.usd_per_hour is not None:
        day = 24 * hosting.usd_per_hour
        price = f"{hosting.usd_per_hour:.2f} USD an hour for each instance, {day:.2f} USD a day"
    most = f", {hosting.max_instances} at most" if hosting.max_instances > 1 else ""
    idle = (
        "Some 15 minutes after the last call its instances are given back: an idle day costs nothing, and the first "
        "call after that waits some minutes."
        if hosting.scale_to_zero
        else "It keeps an instance while nobody calls: an idle day costs as much as a busy one."
    )
    if hosting.ttl_hours is None:
        ttl = "It stays until another model has taken its place for some days; `tune.yaml` may name ttl_hours."
    else:
        hours = "an hour" if hosting.ttl_hours == 1 else f"{hosting.ttl_hours:g} hours"
        ttl = f"After {hours} without a call it is taken down; `tunedrop wake` brings it back."
    return f"The endpoint runs on {hosting.instance_type}{most}: {price}.", idle, ttl
