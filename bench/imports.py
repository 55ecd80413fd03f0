"""CPU seconds to import each handler, as a ratio to a bare handler with boto3, Powertools and pydantic.

Each import runs in a process that sees only the function's own layers, as its Lambda worker does. Handlers take turns,
and the least of the rounds counts: noise only adds.
"""

import os
import subprocess
import sys
from pathlib import Path

from local.deploy import load_template
from local.engine import layers

ROOT = Path(__file__).parent.parent
ROUNDS = 7
GOAL = 1.2
HEAVY = "plan_run"
"""The one handler that looks models up with the SageMaker SDK."""

BARE = """
import boto3, pydantic
from aws_lambda_powertools import Logger, Tracer, single_metric
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext
logger, tracer = Logger(), Tracer()
"""

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "STACK_NAME": "bench",
    "RUNS_TABLE": "runs",
    "DROP_BUCKET": "drops",
    "POWERTOOLS_SERVICE_NAME": "bench",
}


def main() -> None:
    """Print a table of CPU seconds and ratios; fail when a handler is above the goal."""
    template = load_template(ROOT / "template.yaml")
    sites = {
        name: ROOT / resource["Properties"]["ContentUri"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }
    paths = {
        name: layers.requirements_site((folder / "requirements.txt").read_bytes(), print)
        if (folder / "requirements.txt").exists()
        else folder
        for name, folder in sites.items()
    }
    shared = [each["Ref"] for each in template["Globals"]["Function"]["Layers"]]
    programs: dict[str, tuple[str, list[Path]]] = {"bare": (BARE, [paths[each] for each in shared])}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            folder = ROOT / resource["Properties"]["CodeUri"]
            own = [each["Ref"] for each in resource["Properties"].get("Layers", [])]
            programs[folder.name] = ("import app", [folder, *(paths[each] for each in [*shared, *own])])
    seconds = {name: float("inf") for name in programs}
    for _ in range(ROUNDS):
        for name, (code, path) in programs.items():
            seconds[name] = min(seconds[name], cpu_seconds(code, path))
    print(f"{'handler':20} {'CPU s':>7} {'ratio':>6}")
    for name, least in seconds.items():
        print(f"{name:20} {least:7.3f} {least / seconds['bare']:6.2f}")
    late = [name for name, least in seconds.items() if name != HEAVY and least > GOAL * seconds["bare"]]
    if late:
        raise SystemExit(f"above {GOAL} times the bare handler: {', '.join(late)}")


def cpu_seconds(code: str, path: list[Path]) -> float:
    """Run the code in a fresh interpreter that sees only these folders; return its user and system time."""
    prelude = f"import sys; sys.path[:0] = {[str(each) for each in path]!r}\n"
    before = os.times()
    subprocess.run([sys.executable, "-I", "-S", "-c", prelude + code], env=ENVIRONMENT, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
