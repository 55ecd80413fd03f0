"""What the stack puts around a training job, its network and its key, looked at before the job is paid for."""

from collections.abc import Mapping

from tunedrop.domain.model import Record
from tunedrop.domain.plan import VpcConfig
from tunedrop.domain.problem import Problem

SUBNETS_PARAMETER = "TrainingSubnets"
SECURITY_GROUPS_PARAMETER = "TrainingSecurityGroups"
KEY_PARAMETER = "KmsKeyArn"

_ASK = "Ask those who deployed the stack to"


class Subnet(Record):
    """Describe a subnet as EC2 does."""

    vpc_id: str
    free_addresses: int
    reaches_s3: bool
    """Whether an endpoint or a route may lead from it to S3: an instance in it has no public address."""


class Key(Record):
    """Describe a KMS key as DescribeKey does."""

    state: str
    """Enabled, Disabled, PendingDeletion, …"""
    symmetric: bool
    """Whether it encrypts with one secret: what SageMaker, S3 and DynamoDB take."""
    usable: bool
    """Whether its policy, and ours, let the stack's functions encrypt with it."""


def network_problems(
    vpc: VpcConfig, subnets: Mapping[str, Subnet], security_groups: Mapping[str, str]
) -> tuple[Problem, ...]:
    """Say what is wrong with the network; `security_groups` maps each that exists to its VPC, `subnets` likewise."""
    found = []
    for parameter, kind, named, known in (
        (SUBNETS_PARAMETER, "subnet", vpc.subnets, subnets.keys()),
        (SECURITY_GROUPS_PARAMETER, "security-group", vpc.security_group_ids, security_groups.keys()),
    ):
        if not named:
            message = f"A training job in a VPC needs a {kind.replace('-', ' ')}, and the stack names none."
            fix = f"{_ASK} name one in its parameter {parameter}."
            found.append(_problem(f"vpc.no-{kind}", message, parameter, fix))
        if missing := [each for each in named if each not in known]:
            message = f"There is no {kind.replace('-', ' ')} {', '.join(missing)} in this account and Region."
            fix = f"{_ASK} correct its parameter {parameter}."
            found.append(_problem(f"vpc.{kind}-missing", message, parameter, fix))
    vpcs = {each.vpc_id for each in subnets.values()} | set(security_groups.values())
    if len(vpcs) > 1:
        message = f"The subnets and security groups of training jobs belong to several VPCs: {', '.join(sorted(vpcs))}."
        fix = f"{_ASK} name those of one VPC in {SUBNETS_PARAMETER} and {SECURITY_GROUPS_PARAMETER}."
        found.append(_problem("vpc.several", message, SUBNETS_PARAMETER, fix))
    if subnets and not any(each.free_addresses for each in subnets.values()):
        message = f"No address is free in {', '.join(subnets)}; each training instance takes one."
        fix = f"Free some, or {_ASK[0].lower()}{_ASK[1:]} add a larger subnet to {SUBNETS_PARAMETER}."
        found.append(_problem("vpc.subnet-full", message, SUBNETS_PARAMETER, fix))
    if shut := sorted(name for name, each in subnets.items() if not each.reaches_s3):
        message = (
            f"No way leads from {', '.join(shut)} to S3: no endpoint, and no route but those within the VPC and "
            "through an internet gateway, which serves public addresses alone. A training instance has none."
        )
        fix = (
            f"{_ASK} add a gateway endpoint for S3 to the route tables of these subnets, or name others in "
            f"{SUBNETS_PARAMETER}: https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html"
        )
        found.append(_problem("vpc.no-way-to-s3", message, SUBNETS_PARAMETER, fix))
    return tuple(found)


def key_problems(arn: str, key: Key | None) -> tuple[Problem, ...]:
    """Say why nothing can be encrypted with the key; None stands for one that does not exist, or hides."""
    if key is None:
        code, message = "missing", f"There is no KMS key {arn}, or its key policy keeps this account out."
        fix = f"{_ASK} name a key of this Region in its parameter {KEY_PARAMETER}."
    elif not key.symmetric:
        code, message = "asymmetric", f"The KMS key {arn} is not a symmetric encryption key."
        fix = f"{_ASK} name one of KeySpec SYMMETRIC_DEFAULT in its parameter {KEY_PARAMETER}."
    elif key.state != "Enabled":
        code, message = "unavailable", f"The KMS key {arn} is in state {key.state}."
        fix = f"{_ASK} enable it: aws kms enable-key --key-id {arn} (after cancel-key-deletion, if need be)."
    elif not key.usable:
        code, message = "denied", f"The policy of the KMS key {arn} does not let this stack's roles use it."
        fix = f"{_ASK} let IAM policies of the account grant its use: see docs/security.md, The key's policy."
    else:
        return ()
    return (_problem(f"kms.{code}", message, KEY_PARAMETER, fix),)


def _problem(code: str, message: str, parameter: str, fix: str) -> Problem:
    return Problem(code=code, message=message, where=f"stack parameter {parameter}", fix=fix)
