"""What the platform team allows: which models, under which licences, on which instances, for how long."""

from collections.abc import Callable
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from tunedrop.domain.model import Record
from tunedrop.domain.problem import Problem, excerpt
from tunedrop.domain.stack_parameters import parse_parameter

PARAMETER = "Policy"
"""The stack parameter that holds the policy as JSON."""

EXAMPLE = '{"models": ["meta-textgeneration-*"], "instance_types": ["ml.g5.*"], "longest_training_hours": 8}'

_Glob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._*?-]{1,200}$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Policy(Record):
    """Hold the rules; what is left out allows everything.

    In globs, `*` stands for any characters and `?` for one. Providers and licences are JumpStart's own words, such as
    `meta` and `Apache 2.0`, in upper or lower case.
    """

    models: tuple[_Glob, ...] | None = Field(None, min_length=1)
    """Globs of JumpStart model ids."""
    providers: tuple[_Name, ...] | None = Field(None, min_length=1)
    licences: tuple[_Name, ...] | None = Field(None, min_length=1)
    instance_types: tuple[_Glob, ...] | None = Field(None, min_length=1)
    """Globs of training instance types."""
    longest_training_hours: float | None = Field(None, gt=0, le=672)
    """At most SageMaker's own limit, 28 days.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
    """

    @property
    def longest_training(self) -> timedelta | None:
        """How long a job may train at most; None when the policy does not say."""
        return timedelta(hours=self.longest_training_hours) if self.longest_training_hours else None

    def allows_instance_type(self, instance_type: str) -> bool:
        """Tell whether runs may train on the instance type."""
        return _matches(self.instance_types, instance_type)


class ModelOrigin(Record):
    """Say whose a model is, as the JumpStart catalogue tells it; None where it does not."""

    model_id: str
    provider: str | None = None
    licence: str | None = None


def parse_policy(text: str) -> Policy:
    """Read the stack parameter; raises StackParameterError with all that is wrong, and nothing else."""
    return parse_parameter(PARAMETER, text, Policy, EXAMPLE)


def problems(
    policy: Policy, model: ModelOrigin, instance_type: str, where: Callable[[str], str]
) -> tuple[Problem, ...]:
    """Say which rules refuse the run, and what each of them allows; `where` locates a key of `tune.yaml`."""
    refusals = []
    if not _matches(policy.models, model.model_id):
        refusals.append(_refusal("model", model.model_id, policy.models, where("model")))
    for rule, value, allowed in (
        ("provider", model.provider, policy.providers),
        ("licence", model.licence, policy.licences),
    ):
        # What nobody knows is not allowed: the rule is there to be sure.
        if allowed is not None and (value or "").casefold() not in {each.casefold() for each in allowed}:
            refusals.append(_refusal(rule, value, allowed, where("model")))
    if not policy.allows_instance_type(instance_type):
        key = where("instance_type")
        refusals.append(_refusal("instance_type", instance_type, policy.instance_types, key))
    return tuple(refusals)


def _matches(globs: tuple[str, ...] | None, value: str) -> bool:
    return globs is None or any(fnmatchcase(value, each) for each in globs)


def _refusal(rule: str, value: str | None, allowed: tuple[str, ...] | None, where: str) -> Problem:
    choice = ", ".join(excerpt(each) for each in allowed or ())
    words = rule.replace("_", " ")
    subject = f"the {words} {excerpt(value)}" if value else f"a model whose {words} is not known"
    key = "instance_type" if rule == "instance_type" else "model"
    return Problem(
        code=f"policy.{rule.replace('_', '-')}",
        message=f"This stack's policy does not allow {subject}.",
        where=where,
        fix=f"Choose a {key} that it allows ({words}: {choice}), or ask those who deployed the stack to change its "
        f"parameter {PARAMETER}.",
    )
