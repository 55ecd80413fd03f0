"""A deployed stack, as its CloudFormation outputs describe it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tunedrop.domain.import_compatibility import REGIONS
from tunedrop.domain.problem import excerpt
from tunedrop_cli.errors import CommandError, code

DEFAULT_STACK = "tunedrop"

Client: TypeAlias = Any
"""A boto3 client: boto3 generates their classes at run time, so that they have no static type."""


@dataclass(frozen=True)
class Target:
    """Name the stack that the command line points at."""

    stack: str
    region: str | None


@dataclass(frozen=True)
class Stack:
    """Reach the resources of one deployed stack."""

    name: str
    session: boto3.Session
    drop_bucket: str
    run_bucket: str
    runs_table: str
    dead_letters: str
    """URL of the queue of events that could not be handled."""
    bus: str
    """The event bus that takes what people ask for."""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def client(self, service: str, config: Config | None = None) -> Client:
        """Make a boto3 client in the stack's region."""
        return self.session.client(service, config=config)


def open_session(target: Target) -> boto3.Session:
    """Open a session in the Region that is asked for, or set; raises CommandError where there is none of that name."""
    session = boto3.Session(region_name=target.region)
    region = session.region_name
    if region is None:
        raise CommandError("No AWS region is set.", "Pass --region, or set AWS_REGION.")
    known = (
        session.get_available_regions("cloudformation", partition_name=each)
        for each in session.get_available_partitions()
    )
    if not any(region in regions for regions in known):
        raise CommandError(
            f"There is no AWS Region {excerpt(region)} that is known here.",
            f"Choose one of {', '.join(REGIONS)} with --region: Bedrock imports models nowhere else.",
        )
    return session


def open_stack(target: Target) -> Stack:
    """Look the stack up; needs `cloudformation:DescribeStacks` and nothing else."""
    session = open_session(target)
    try:
        description = session.client("cloudformation").describe_stacks(StackName=target.stack)["Stacks"][0]
    except ClientError as error:
        # CloudFormation answers a missing stack with ValidationError:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
        if code(error) == "ValidationError":
            raise CommandError(
                f'There is no stack "{target.stack}" in {session.region_name}.',
                "Name yours with --stack or TUNEDROP_STACK, or deploy one with `sam build && sam deploy --guided`.",
            ) from error
        raise
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}
    try:
        return Stack(
            name=target.stack,
            session=session,
            drop_bucket=outputs["DropBucketName"],
            run_bucket=outputs["RunBucketName"],
            runs_table=outputs["RunsTableName"],
            dead_letters=outputs["DeadLetterQueueUrl"],
            bus=outputs["EventBusName"],
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in description.get("Parameters", [])},
        )
    except KeyError as error:
        raise CommandError(
            f'The stack "{target.stack}" has no output {error}: it is not Tunedrop\'s, or is not deployed to its end.',
            "Look at the stack's events in CloudFormation.",
        ) from error
