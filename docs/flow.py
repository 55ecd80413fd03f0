"""Draw the flow and the permissions from template.yaml and the code: `python -m docs.flow` rewrites README.md's parts.

A test compares README.md with what this module makes of the template, so that the picture cannot fall behind.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tunedrop.domain.decide import Effect, effects_due
from tunedrop.domain.run import EDGES, TERMINAL, Deployment, Drop, Run, RunStatus

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


USER = "tunedrop.user"
"""The source of the events that a person's command sends."""


class _Template(yaml.SafeLoader):
    """Read CloudFormation's short forms, `!Ref x`, as their text."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        values = loader.construct_sequence(node, deep=True)
        # `!If [condition, then, else]`: the stack as it is on AWS, without overrides.
        return values[2] if suffix == "If" else values
    return loader.construct_mapping(node, deep=True)


_Template.add_multi_constructor("!", _short_form)


def functions() -> dict[str, dict[str, Any]]:
    """Return the functions of template.yaml by their folder's name, in the order of a run."""
    return {
        resource["Properties"]["CodeUri"].removeprefix("functions/"): resource["Properties"]
        for resource in _resources().values()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def workflows() -> dict[str, list[str]]:
    """Return the functions that each state machine calls, in the order in which the template names them."""
    folders = {
        f"{name}.Arn": resource["Properties"].get("CodeUri", "").removeprefix("functions/")
        for name, resource in _resources().items()
    }
    return {
        name: [folders[each] for each in resource["Properties"]["DefinitionSubstitutions"].values() if each in folders]
        for name, resource in _resources().items()
        if resource["Type"] == "AWS::Serverless::StateMachine"
    }


def flow() -> str:
    """Draw, in Mermaid, which event leads to which function, and which status it announces."""
    lines = ["```mermaid", "flowchart TD"]
    for name, properties in functions().items():
        lines += [f'    {_node(text)}(["{text}"]) --> {name}' for text in _outer_triggers(properties)]
        for stage in _stages(name):
            ends = EDGES[stage.status] & TERMINAL
            if stage.status is RunStatus.DEPLOYING and stage.deployment is None:
                # Starting an import changes no status: the schedule finds it running.
                lines.append(f"    {name} -. import started .-> track_deployment")
            else:
                nexts = sorted(EDGES[stage.status] - ends)
                lines += [f"    {name} -- {end} --> {other}" for end in nexts for other in _listeners(end)]
            if ends:
                lines.append(f'    {name} -- "{", ".join(sorted(ends))}" --> ended{{{{"ended"}}}}')
    for workflow, called in workflows().items():
        starters = [name for name, properties in functions().items() if workflow in str(properties["Policies"])]
        lines += [f"    {starter} -. {workflow} .-> {called[0]}" for starter in starters]
        lines += [f"    {one} --> {other}" for one, other in pairwise(called)]
    ended = [name for name, properties in functions().items() if set(_statuses(properties)) & TERMINAL]
    lines += [f"    ended --> {name}" for name in ended]
    lines.append('    notify --> people(["SNS: you"])')
    return "\n".join([*dict.fromkeys(lines), "```"])


def table() -> str:
    """List each function with what starts it and what it may do."""
    rows = ["| Function | Started by | May do |", "|---|---|---|"]
    for name, properties in functions().items():
        called_by = [workflow for workflow, called in workflows().items() if name in called]
        triggers = "<br>".join([*called_by, *_outer_triggers(properties), *_announcements(properties)])
        rows.append(f"| `{name}` | {triggers} | {'<br>'.join(_permissions(properties))} |")
    return "\n".join(rows)


def rendered(readme: str) -> str:
    """Return the README with its generated parts made anew."""
    for part, text in (("flow", flow()), ("functions", table())):
        pattern = rf"(<!-- {part}: made by docs/flow.py -->\n).*?(<!-- end of {part} -->)"
        readme, count = re.subn(
            pattern, lambda match, text=text: f"{match[1]}{text}\n{match[2]}", readme, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"README.md needs exactly one place for the part {part}")
    return readme


@cache
def _resources() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Template)  # noqa: S506 - a SafeLoader of ours
    resources: dict[str, Any] = template["Resources"]
    return resources


def _outer_triggers(properties: dict[str, Any]) -> Iterator[str]:
    for event in properties.get("Events", {}).values():
        if event["Type"] == "Schedule":
            yield f"schedule: {event['Properties']['Schedule']}"
            continue
        pattern = event["Properties"]["Pattern"]
        if pattern["source"] != ["tunedrop"]:
            service = pattern["source"][0].removeprefix("aws.").replace("s3", "S3 ")
            service = service if service == "S3 " else ""  # the others' events bear their service's name
            key = pattern.get("detail", {}).get("object", {}).get("key", [{}])[0].get("wildcard", "")
            yield f"{service}{' or '.join(pattern['detail-type'])} {key}".rstrip()


def _announcements(properties: dict[str, Any]) -> Iterator[str]:
    for event in properties.get("Events", {}).values():
        pattern = event["Properties"].get("Pattern", {"source": []})
        if pattern["source"] == ["tunedrop"]:
            change = " (due again)" if pattern["detail"].get("change") == ["due"] else ""
            yield f"Run Status Changed: {', '.join(pattern['detail']['status'])}{change}"


def _permissions(properties: dict[str, Any]) -> Iterator[str]:
    for policy in properties["Policies"]:
        for statement in policy["Statement"]:
            actions = statement["Action"]
            names = [actions] if isinstance(actions, str) else actions
            yield f"{', '.join(f'`{each}`' for each in names)} on {_resource(statement['Resource'])}"


def _resource(resource: str | list[str]) -> str:
    resources = [resource] if isinstance(resource, str) else resource
    plain = (re.sub(r"\$\{(?:AWS::)?(\w+)(?:\.Arn)?\}", r"<\1>", each.removesuffix(".Arn")) for each in resources)
    short = (re.sub(r"^arn:<Partition>:(\w+):[^:]*:[^:]*:", r"\1 ", each) for each in plain)
    return ", ".join(f"`{each}`" for each in short)


def _sources(properties: dict[str, Any]) -> Iterator[str]:
    for event in properties.get("Events", {}).values():
        yield from event["Properties"].get("Pattern", {}).get("source", [])


def _statuses(properties: dict[str, Any]) -> Iterator[RunStatus]:
    for event in properties.get("Events", {}).values():
        pattern = event["Properties"].get("Pattern", {})
        if pattern.get("source") == ["tunedrop"]:
            yield from map(RunStatus, pattern["detail"]["status"])


def _listeners(status: RunStatus) -> Iterable[str]:
    return [name for name, properties in functions().items() if status in _statuses(properties)]


def _stages(function: str) -> Iterator[Run]:
    """Yield the stages of a run in which a function does the work, and not merely tells of it."""
    source = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    effects = {
        Effect[node.attr]
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Effect"
    }
    by_a_person = not effects and set(_sources(functions()[function])) == {USER}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    drop = Drop(bucket="b", key="k", version_id="v", etag="e", uploaded_by="u")
    imported = Deployment(import_job_name="i", import_job_arn="a", model_name="m")
    for status in RunStatus:
        run = Run(run_id="r", dataset="d", status=status, created_at=now, updated_at=now, entered_at=now, drop=drop)
        if status is RunStatus.DEPLOYING and Effect.DESCRIBE_IMPORT in effects:
            run = run.model_copy(update={"deployment": imported})
        due = {*effects_due(run, now)} - {Effect.CLAIM_NOTICE}
        # Where nothing is due, a person has the word, through the function that does nothing else.
        if effects & due or (by_a_person and not due and status not in TERMINAL):
            yield run


def _node(text: str) -> str:
    return re.sub(r"\W+", "_", text)


if __name__ == "__main__":
    README.write_text(rendered(README.read_text()))
