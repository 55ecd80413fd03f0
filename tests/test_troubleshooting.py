"""docs/troubleshooting.md has every code that a user can be told, and none that nobody is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.troubleshooting import findings
from tests.stack import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FAMILIES = (
    *(
        "approval",
        "budget",
        "cap",
        "data",
        "drop",
        "endpoint",
        "evaluate",
        "hyperparameter",
        "import",
        "instance",
        "judge",
        "kms",
        "launch",
    ),
    *("model", "parameter", "policy", "quota", "run", "serverless", "spec", "spot", "template", "training"),
    *("validation", "vpc", "wait"),
)
CODE = re.compile(rf"(?:{'|'.join(FAMILIES)})\.[a-z0-9]+(?:-[a-z0-9]+)*")
FILES = re.compile(r".*\.(?:csv|html|js|json|jsonl|txt|yaml)")

COMPOSED = {
    "hyperparameter.{}": {"contradiction", "fsdp-size", "no-evaluation", "precision", "quantised-full"},
    "kms.{}": {"asymmetric", "denied", "missing", "unavailable"},
    "policy.{}": {"instance-type", "licence", "model", "provider"},
    "vpc.no-{}": {"security-group", "subnet"},
    "vpc.{}-missing": {"security-group", "subnet"},
}
"""Codes that are put together when they are told: what comes in the place of the braces."""

OF_JSON = frozenset({"data.{}", "parameter.{}", "template.{}"})
"""Those that end with what is wrong with a JSON document."""


def sources() -> Iterator[ast.Module]:
    for folder in ("layers/core/tunedrop", "functions", "cli/tunedrop_cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(Path(path).read_text(encoding="utf-8"))


def codes() -> set[str]:
    """Gather the codes of the program, from its texts."""
    told, composed, of_json = set[str](), set[str](), set[str]()
    for node in (node for module in sources() for node in ast.walk(module)):
        match node:
            case ast.Constant(value=str(text)) if CODE.fullmatch(text) and not FILES.fullmatch(text):
                told.add(text)
            case ast.JoinedStr(values=parts):
                pattern = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
                if re.fullmatch(rf"(?:{'|'.join(FAMILIES)})\.[a-z-]*\{{\}}[a-z-]*", pattern):
                    composed.add(pattern)
            case ast.keyword(arg="code", value=ast.Constant(value=str(text))):
                assert text.partition(".")[0] in FAMILIES, f"the family of {text} is unknown to this test"
            case ast.Call(func=ast.Name(id="JsonError"), args=[ast.Constant(value=str(code)), *_]):
                of_json.add(code)
    assert composed == COMPOSED.keys() | OF_JSON, "a code that is put together is unknown to this test"
    told |= {pattern.format(each) for pattern, each_of in COMPOSED.items() for each in each_of}
    return told | {pattern.format(code) for pattern in OF_JSON - {"data.{}"} for code in of_json}


def test_the_page_has_every_code_and_no_other() -> None:
    of_page = {each for each in re.findall(r"`([a-z]+\.[a-z0-9-]+)`", PAGE) if not FILES.fullmatch(each)}
    assert codes() - of_page == set(), "a user would look for these in vain"
    assert of_page - codes() == set(), "nobody is told these any more"


def test_each_code_stands_in_one_row() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = [each for row in rows for each in CODE.findall(row.split("|")[1])]
    assert sorted(named) == sorted(set(named))


def test_what_mends_rows_is_what_the_report_says() -> None:
    assert PAGE.endswith(findings()), "run python -m docs.troubleshooting"
