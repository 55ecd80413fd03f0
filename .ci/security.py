"""Scan template.yaml as CloudFormation would deploy it, and check that the scanners still find planted faults.

Every finding needs a waiver with a reason (`security-waivers.yaml`), and every waiver a finding.
Scanners: checkov on what SAM makes of the template, for a plain stack and for one with every safeguard; cfn-lint on the
template itself. What roles may do is asked of the policies by `tests/template/test_must_deny.py`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.deploy import load_template
from local.fold import fold

ROOT = Path(__file__).parents[1]
WAIVERS = Path(__file__).with_name("security-waivers.yaml")
PLANTED = Path(__file__).with_name("planted-faults.yaml")
REGION = "us-east-1"
SAFE = {
    "KmsKeyArn": f"arn:aws:kms:{REGION}:123456789012:key/11111111-1111-1111-1111-111111111111",
    "TrainingSubnets": "subnet-11111111",
    "TrainingSecurityGroups": "sg-11111111",
    "IsolateTraining": "true",
    "ReservedConcurrency": "5",
    "KeepDropsDays": "365",
    "KeepRunFilesDays": "365",
}
STACKS: Mapping[str, Mapping[str, str]] = {"plain": {}, "safe": SAFE}


class Finding(NamedTuple):
    """One scanner's word about one resource of one stack; cfn-lint knows no stacks."""

    stack: str
    rule: str
    resource: str
    text: str


class Waiver(NamedTuple):
    """A rule that some resources need not follow, and why."""

    rule: str
    resources: tuple[str, ...]
    stacks: tuple[str, ...]
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Tell whether the finding is this waiver's; `all` stands for every resource."""
        return (
            finding.rule == self.rule
            and finding.stack in self.stacks
            and ("all" in self.resources or finding.resource in self.resources)
        )


def read_waivers(text: str) -> list[Waiver]:
    """Read the file of waivers; raises ValueError for one without a reason."""
    waivers = [
        Waiver(
            each["rule"], tuple(each["resources"]), tuple(each.get("stacks", STACKS)), each.get("reason", "").strip()
        )
        for each in yaml.safe_load(text)
    ]
    if unreasoned := [each.rule for each in waivers if not each.reason]:
        raise ValueError(f"no reason is given for the waiver of {', '.join(unreasoned)}")
    return waivers


def judge(findings: Iterable[Finding], waivers: Iterable[Waiver]) -> list[str]:
    """Return what is wrong: findings that nobody waived, and waivers of nothing."""
    findings, waivers = list(findings), list(waivers)
    open_ = [each for each in findings if not any(waiver.covers(each) for waiver in waivers)]
    idle = [each for each in waivers if not any(each.covers(finding) for finding in findings)]
    return [
        *(f"{each.rule} {each.resource} ({each.stack}): {each.text}" for each in open_),
        *(f"{each.rule} {', '.join(each.resources)}: nothing to waive; remove it" for each in idle),
    ]


def transformed(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the template with its conditions settled and SAM's resources written out."""
    template = fold(load_template(path), parameters)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri", "DefinitionUri"):
            if isinstance(properties.get(name), str):
                properties[name] = {"Bucket": "artifacts", "Key": "code.zip"}
    session = boto3.session.Session(region_name=REGION)
    return dict(Translator({}, Parser(), boto_session=session).translate(template, parameter_values={}))


def checkov(tools: Path, folder: Path, stack: str, template: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what checkov finds in a transformed template; offline."""
    file = folder / f"{stack}.json"
    file.write_text(json.dumps(template, indent=1))
    command = [tools / "checkov", "--file", file, "--framework", "cloudformation", "--output", "json", "--compact"]
    done = subprocess.run([*command, "--skip-download", "--quiet"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    if not report.get("results"):
        raise RuntimeError(f"checkov could not read {file}: {done.stdout}{done.stderr}")
    for each in report["results"]["failed_checks"]:
        yield Finding(stack, each["check_id"], each["resource"].rpartition(".")[2], each["check_name"])


def cfn_lint(tools: Path, path: Path) -> Iterator[Finding]:
    """Yield what cfn-lint finds in a template as it is written."""
    command = [tools / "cfn-lint", "--template", path, "--regions", REGION, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for each in json.loads(done.stdout):
        place = each["Location"]["Path"] or []
        resource = str(place[1]) if len(place) > 1 else ""
        yield Finding("plain", each["Rule"]["Id"], resource, each["Message"])


def main(tools: Path) -> int:
    """Scan, and print what is wrong; return 1 for anything."""
    os.environ["AWS_DEFAULT_REGION"] = REGION
    folder = ROOT / ".local" / "security-templates"
    folder.mkdir(parents=True, exist_ok=True)
    findings = list(cfn_lint(tools, ROOT / "template.yaml"))
    for stack, parameters in STACKS.items():
        findings += checkov(tools, folder, stack, transformed(ROOT / "template.yaml", parameters))
    waivers = read_waivers(WAIVERS.read_text())
    wrong = judge(findings, waivers)
    found = {each.rule for each in checkov(tools, folder, "planted", transformed(PLANTED, {}))}
    found |= {each.rule for each in cfn_lint(tools, PLANTED)}
    planted = set(load_template(PLANTED)["Metadata"]["Planted"])
    wrong += [f"{rule}: planted in {PLANTED.name}, and not found any more" for rule in sorted(planted - found)]
    for each in wrong:
        print(each, file=sys.stderr)
    if not wrong:
        print(f"{len(findings)} findings, all waived with a reason ({len(waivers)}); {len(planted)} planted, all found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
