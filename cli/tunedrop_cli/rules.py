"""What a stack decides about every run, as far as this machine can know it."""

import logging
import os
import re
from dataclasses import dataclass, field, replace

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from tunedrop.adapters.clock import SystemClock
from tunedrop.adapters.hub import HubCatalogue
from tunedrop.adapters.jumpstart_documents import SpecCatalogue
from tunedrop.adapters.prices import PriceListPrices, price_list_client
from tunedrop.domain.planning import LONGEST_TRAINING, PlanRules
from tunedrop.domain.stack_parameters import StackParameterError
from tunedrop.settings import Settings
from tunedrop.steps.plan_rules import rules_of
from tunedrop_cli import options
from tunedrop_cli.aws import Client, Stack, open_session, open_stack
from tunedrop_cli.catalogue import MANY_CALLS, open_catalogue
from tunedrop_cli.errors import CommandError, explained

CONTENT_BUCKET = "JumpStartContentBucket"
"""The stack parameter that names a bucket in place of JumpStart's own."""

PRIVATE_HUB = "PrivateHub"
"""The stack parameter that names the hub which alone has the stack's models."""

SDK_CONTENT_BUCKET = "AWS_JUMPSTART_CONTENT_BUCKET_OVERRIDE"

_DEFAULTS = {
    "STACK_NAME": "tunedrop",
    "RUNS_TABLE": "none",
    "LONGEST_TRAINING_SECONDS": str(int(LONGEST_TRAINING.total_seconds())),
}
"""What the template has for a parameter that no stack tells."""


@dataclass
class Ground:
    """Hold what models are looked up in, what runs may do, and what could not be found out."""

    catalogue: SpecCatalogue | HubCatalogue
    rules: PlanRules
    stack: Stack | None
    session: boto3.Session
    """Of the Region that the plan is for."""
    prices: PriceListPrices
    unknown: list[str] = field(default_factory=list)
    """What could not be found out, a sentence each."""

    def client(self, service: str) -> Client:
        """Make a client that is not patient: what cannot be found out is told."""
        return self.session.client(service, config=MANY_CALLS)

    def priced(self) -> PlanRules:
        """Return the rules with AWS's prices of the Region."""
        return replace(self.rules, price_list=self.prices.price_list())


def ground(context: typer.Context) -> Ground:
    """Look around: at the stack if there is one, and at JumpStart's catalogue of its Region."""
    # What could not be read is told by the command; the adapters' own words are for the functions' logs.
    logging.getLogger("tunedrop").addHandler(logging.NullHandler())
    target = options.options(context).target
    session = open_session(target)
    unknown: list[str] = []
    stack = _stack(context, unknown)
    parameters = stack.parameters if stack else {}
    environment = _DEFAULTS | {variable(name): value for name, value in parameters.items()}
    if stack:
        environment |= {"STACK_NAME": stack.name, "RUNS_TABLE": stack.runs_table}
    try:
        rules = rules_of(Settings.from_environment({**environment, "AWS_REGION": session.region_name}))
    except StackParameterError as error:
        raise CommandError(
            "\n".join(map(str, error.problems)), "Deploy the stack again with the parameter mended."
        ) from error
    region = session.region_name
    prices = PriceListPrices(price_list_client(session, region), region, SystemClock())
    if hub := parameters.get(PRIVATE_HUB):
        client = session.client("sagemaker", config=MANY_CALLS)
        return Ground(HubCatalogue(client, region, hub), rules, stack, session, prices, unknown)
    bucket = parameters.get(CONTENT_BUCKET) or os.environ.get(SDK_CONTENT_BUCKET) or None
    return Ground(open_catalogue(session, bucket, unknown.append), rules, stack, session, prices, unknown)


def _stack(context: typer.Context, unknown: list[str]) -> Stack | None:
    """Open the stack; None where there is none, or nobody may ask, unless it was named."""
    try:
        return open_stack(options.options(context).target)
    except CommandError as error:
        if options.options(context).named_stack:
            raise
        reason = str(error)
    except (BotoCoreError, ClientError) as error:
        if options.options(context).named_stack:
            raise
        reason = str(explained(error))
    unknown.append(f"What the stack allows, and its prices, are not known: {reason}")
    return None


def variable(parameter: str) -> str:
    """Spell a parameter as the template names the variable that holds it: `InstancePrices` is INSTANCE_PRICES."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter).upper()
