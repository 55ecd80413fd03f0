"""The rules of planning, from the stack's settings: the same for the function and for the command `tunedrop`."""

from datetime import timedelta

from tunedrop.domain.base_models import base_models, parse_base_models
from tunedrop.domain.plan import ApprovalRule, vpc_config
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.policy import parse_policy
from tunedrop.domain.pricing import parse_instance_prices
from tunedrop.settings import Settings


def rules_of(settings: Settings) -> PlanRules:
    """Read the stack's rules; raises StackParameterError for a parameter that is wrong."""
    limit = settings.auto_approve_usd
    return PlanRules(
        region=settings.region,
        stack=settings.stack,
        base_models={**base_models(settings.region), **parse_base_models(settings.base_models)},
        instance_prices=parse_instance_prices(settings.instance_prices),
        max_budget_usd=settings.max_budget_usd or None,
        monthly_cap_usd=settings.monthly_cap_usd or None,
        approval=ApprovalRule(auto_approve_usd=limit, hours=settings.approval_hours) if limit is not None else None,
        policy=parse_policy(settings.policy, settings.instance_types),
        longest_training=timedelta(seconds=settings.longest_training_seconds),
        kms_key_arn=settings.kms_key_arn,
        vpc=vpc_config(settings.training_subnets, settings.training_security_groups),
        serverless=settings.serverless_customisation,
        isolated=settings.isolate_training,
    )
