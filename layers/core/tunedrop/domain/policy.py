"""What the platform team allows: which models, under which licences, on which instances."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, RootModel, StringConstraints

from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.model import Record
from tunedrop.domain.problem import Problem, excerpt
from tunedrop.domain.stack_parameters import check_parameter, parse_parameter

PARAMETER = "Policy"
"""The stack parameter that holds the policy as JSON."""

EXAMPLE = '{"models": ["meta-textgeneration-*"], "providers": ["meta"]}'

INSTANCE_TYPES_PARAMETER = "InstanceTypes"
"""The stack parameter that lists globs of instance types: apart, for the launching role's IAM policy reads it too."""

INSTANCE_TYPES_EXAMPLE = "ml.g5.*,ml.p4d.24xlarge"

_Glob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._*?-]{1,200}$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class _InstanceTypes(RootModel[tuple[_Glob, ...]]):
    """Hold the list of the parameter of that name; an empty one would allow nothing."""

    root: tuple[_Glob, ...] = Field(min_length=1)


class _Written(Record):
    """Hold what the parameter's JSON may say; what is left out allows everything.

    In globs, `*` stands for any characters and `?` for one. Providers and licences are JumpStart's own words, such as
    `meta` and `Apache 2.0`, in upper or lower case.
    """

    models: tuple[_Glob, ...] | None = Field(None, min_length=1)
    """Globs of JumpStart model ids."""
    providers: tuple[_Name, ...] | None = Field(None, min_length=1)
    licences: tuple[_Name, ...] | None = Field(None, min_length=1)


class Policy(_Written):
    """Hold all rules: the written ones, and those that IAM enforces too."""

    instance_types: tuple[_Glob, ...] | None = Field(None, min_length=1)
    """Globs of training instance types, as IAM's StringLike reads them."""

    def allows_instance_type(self, instance_type: str) -> bool:
        """Tell whether runs may train on the instance type."""
        return _matches(self.instance_types, instance_type)


def parse_policy(text: str, instance_types: tuple[str, ...] | None = None) -> Policy:
    """Read the stack parameter, and join the instance types that have one of their own.

    Raises StackParameterError with all that is wrong with one of them.
    """
    written = parse_parameter(PARAMETER, text, _Written, EXAMPLE)
    if instance_types is not None:
        instance_types = check_parameter(
            INSTANCE_TYPES_PARAMETER, instance_types, _InstanceTypes, INSTANCE_TYPES_EXAMPLE
        ).root
    return Policy(**written.model_dump(), instance_types=instance_types)


def problems(
    policy: Policy, model: JumpStartModel, instance_type: str | None, where: Callable[[str], str]
) -> tuple[Problem, ...]:
    """Say which rules refuse the run, and what each of them allows; `where` locates a key of `tune.yaml`.

    `instance_type` is None for a training that asks for none.
    """
    refusals = []
    if not _matches(policy.models, model.model_id):
        refusals.append(_refusal("model", model.model_id, policy.models, where("model")))
    for rule, value, allowed in (
        ("provider", model.provider, policy.providers),
        ("licence", model.licence, policy.licences),
    ):
        if allowed is None:
            continue
        if not value:
            refusals.append(_untold(rule, model, allowed, where("model")))
        elif value.casefold() not in {each.casefold() for each in allowed}:
            refusals.append(_refusal(rule, value, allowed, where("model")))
    if instance_type is not None and not policy.allows_instance_type(instance_type):
        key = where("instance_type")
        refusals.append(_refusal("instance_type", instance_type, policy.instance_types, key))
    return tuple(refusals)


def _matches(globs: tuple[str, ...] | None, value: str) -> bool:
    return globs is None or any(fnmatchcase(value, each) for each in globs)


def _refusal(rule: str, value: str, allowed: tuple[str, ...] | None, where: str) -> Problem:
    choice = ", ".join(excerpt(each) for each in allowed or ())
    words = rule.replace("_", " ")
    key, parameter = ("instance_type", INSTANCE_TYPES_PARAMETER) if rule == "instance_type" else ("model", PARAMETER)
    return Problem(
        code=f"policy.{rule.replace('_', '-')}",
        message=f"This stack's policy does not allow the {words} {excerpt(value)}.",
        where=where,
        fix=f"Choose a {key} that it allows ({words}: {choice}), or ask those who deployed the stack to change its "
        f"parameter {parameter}.",
    )


def _untold(rule: str, model: JumpStartModel, allowed: tuple[str, ...], where: str) -> Problem:
    """Refuse a model of which nobody knows what the rule asks for: the rule is there to be sure."""
    choice = ", ".join(excerpt(each) for each in allowed)
    return Problem(
        code=f"policy.{rule}",
        message=f"This stack's policy names the {rule}s that it allows, and JumpStart does not tell the {rule} of "
        f"{model.model_id} {model.version}.",
        where=where,
        fix=f"Choose a model that names one of them ({choice}), or ask those who deployed the stack to allow this one "
        f"in its parameter {PARAMETER}: by its id under models, with no {rule}s named.",
    )
