"""The template as it would be deployed, with the names of `tests.samples` filled in, and the events that it routes."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ministack.services import eventbridge

from local.deploy import load_template
from tests.samples import ACCOUNT, DROP_BUCKET, EVALUATION_ARN, REGION, RUN_BUCKET, STACK, WORKFLOW_ARN

ROOT = Path(__file__).parents[1]
TEMPLATE = load_template(ROOT / "template.yaml")
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS: dict[str, dict[str, Any]] = {
    resource["Properties"]["CodeUri"].removeprefix("functions/"): resource["Properties"]
    for resource in RESOURCES.values()
    if resource["Type"] == "AWS::Serverless::Function"
}
"""The properties of each function, by its folder."""

NAMES = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "Bus": STACK,
    "DropBucket": DROP_BUCKET,
    "RunBucket": RUN_BUCKET,
    "EvaluationWorkflow": EVALUATION_ARN,
    "ValidationWorkflow": WORKFLOW_ARN,
}


class Rule(NamedTuple):
    """An EventBridge rule and the function that it calls."""

    function: str
    name: str
    bus: str
    pattern: dict[str, Any]


def filled(value: Any) -> Any:
    """Replace `Ref` and `Fn::Sub` by the names that CloudFormation would fill in."""
    match value:
        case {"Ref": name}:
            return NAMES[name]
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: NAMES[found[1]], text)
        case dict():
            return {key: filled(each) for key, each in value.items()}
        case list():
            return [filled(each) for each in value]
        case _:
            return value


def environment(function: str) -> dict[str, str]:
    """Return the variables that the template gives a function, made-up where CloudFormation would fill them in."""
    own: dict[str, Any] = FUNCTIONS[function].get("Environment", {}).get("Variables", {})
    given = {**TEMPLATE["Globals"]["Function"]["Environment"]["Variables"], **own}
    values = {name: _variable(name, value) for name, value in given.items()}
    return values | {"AWS_REGION": REGION, "STACK_NAME": STACK}


def _variable(name: str, value: Any) -> str:
    match value:
        case str():
            return value
        case {"Ref": parameter} if parameter in TEMPLATE["Parameters"]:
            return str(TEMPLATE["Parameters"][parameter]["Default"])
        case {"Fn::Join": [separator, {"Ref": parameter}]} if parameter in TEMPLATE["Parameters"]:
            return str(TEMPLATE["Parameters"][parameter]["Default"]).replace(",", separator)
        case _:
            return f"a-{name.lower()}"


RULES = [
    Rule(
        function,
        name,
        filled(event["Properties"].get("EventBusName", "default")),
        filled(event["Properties"]["Pattern"]),
    )
    for function, properties in FUNCTIONS.items()
    for name, event in properties.get("Events", {}).items()
    if event["Type"] == "EventBridgeRule"
]

PIPES: list[dict[str, Any]] = [each["Properties"] for each in RESOURCES.values() if each["Type"] == "AWS::Pipes::Pipe"]


def receivers(event: dict[str, Any]) -> list[Rule]:
    """Return the rules that match an event; AWS's own events come on the default bus, ours on the stack's."""
    bus = "default" if event["source"].startswith("aws.") else STACK
    return [rule for rule in RULES if rule.bus == bus and _matches(rule.pattern, event)]


def announcements(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events that the pipes make of a stream record."""
    return [event_of(pipe, record) for pipe in PIPES if lets_through(pipe, record)]


def lets_through(pipe: dict[str, Any], record: dict[str, Any]) -> bool:
    """Tell whether a pipe's filters match a stream record."""
    filters = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
    return any(eventbridge._matches_detail(record, json.loads(each["Pattern"])) for each in filters)


def event_of(pipe: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return the event into which a pipe's input template turns a stream record."""

    def at(steps: list[str]) -> Any:
        value: Any = record
        for step in steps:
            value = value[step]
        return value

    parameters = pipe["TargetParameters"]
    bus = parameters["EventBridgeEventBusParameters"]
    return {
        "version": "0",
        "id": record["eventID"],
        "source": bus["Source"],
        "detail-type": bus["DetailType"],
        "account": ACCOUNT,
        "time": "2026-01-05T09:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": {key: at(steps) for key, steps in _places(parameters["InputTemplate"]).items()},
    }


@cache
def _places(template: str) -> Any:
    """Read an input template, with the steps that lead to its value in the place of each `<$.path>`."""

    def steps(found: re.Match[str]) -> str:
        return json.dumps(found[1].split("."))

    return json.loads(re.sub(r"<\$\.([\w.]+)>", steps, template))


def _matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    status, _, body = eventbridge._test_event_pattern({"EventPattern": json.dumps(pattern), "Event": json.dumps(event)})
    if status != 200:
        raise AssertionError(body)
    return bool(json.loads(body)["Result"])


def sample(name: str) -> dict[str, Any]:
    """Load a payload of `events/`, such as `aws.s3/object-created.tune-yaml`."""
    return dict(json.loads(_sample_text(name)))


@cache
def _sample_text(name: str) -> str:
    return (ROOT / "events" / f"{name}.json").read_text()
