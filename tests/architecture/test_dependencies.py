"""Who may depend on whom, and where a run's status may change: read from the source itself."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.stack import FUNCTIONS, ROOT

CORE = ROOT / "layers" / "core" / "tunedrop"
DEPLOYED = sorted([*CORE.rglob("*.py"), *(ROOT / "functions").rglob("*.py")])
NEVER_DEPLOYED = {"hypothesis", "local", "ministack", "moto", "pytest", "tests", "tunedrop_cli"}


@cache
def imports(file: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it, by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{file} imports relatively"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages(file: Path) -> set[str]:
    """Return the top-level packages that a file imports, without the standard library's."""
    return {module.partition(".")[0] for module in imports(file)} - sys.stdlib_module_names


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def importers(package: str) -> set[str]:
    return {named(file) for file in DEPLOYED if package in packages(file)}


@pytest.mark.parametrize("file", sorted((CORE / "domain").glob("*.py")), ids=named)
def test_the_domain_is_pure(file: Path) -> None:
    assert packages(file) <= {"pydantic", "tunedrop"}
    ours = {module for module in imports(file) if module.startswith("tunedrop.")}
    # What a tune.yaml asks for is part of what planning is about.
    outer = {module for module in ours if not module.startswith(("tunedrop.domain", "tunedrop.contracts.tune_spec"))}
    assert not outer


@pytest.mark.parametrize("file", sorted([*(CORE / "steps").glob("*.py"), CORE / "ports.py"]), ids=named)
def test_steps_speak_to_aws_through_ports_only(file: Path) -> None:
    assert packages(file) <= {"pydantic", "tunedrop"}
    assert not {module for module in imports(file) if module.startswith(("tunedrop.adapters", "tunedrop.bootstrap"))}


def test_the_composition_root_alone_puts_adapters_of_aws_together() -> None:
    users = {
        named(file)
        for file in DEPLOYED
        for module in imports(file)
        if file.parent.name not in {"adapters", "client"}
        and re.match(r"tunedrop\.adapters\.\w+$", module)
        and module != "tunedrop.adapters.clock"
    }
    assert users == {"layers/core/tunedrop/bootstrap.py", "functions/plan_run/app.py"}


def test_boto3_is_known_to_adapters_and_the_composition_root_only() -> None:
    boto3 = importers("boto3") | importers("botocore")
    assert boto3 > {"layers/core/tunedrop/bootstrap.py"}
    elsewhere = {name for name in boto3 if "/adapters/" not in name and "/client/" not in name}
    assert elsewhere == {"layers/core/tunedrop/bootstrap.py"}


def test_the_client_is_for_programs_of_users_alone() -> None:
    users = {named(file) for file in DEPLOYED if any(each.startswith("tunedrop.client") for each in imports(file))}
    assert {name for name in users if "/client/" not in name} == {"layers/core/tunedrop/__init__.py"}


def test_the_sagemaker_sdk_is_known_to_one_adapter_that_plan_run_alone_imports() -> None:
    assert importers("sagemaker") == {"layers/core/tunedrop/adapters/jumpstart.py"}
    users = {named(file) for file in DEPLOYED if "tunedrop.adapters.jumpstart" in imports(file)}
    assert users == {"functions/plan_run/app.py"}


@pytest.mark.parametrize("file", DEPLOYED, ids=named)
def test_what_is_deployed_depends_on_nothing_that_is_not(file: Path) -> None:
    assert not packages(file) & NEVER_DEPLOYED
    assert "endpoint_url" not in file.read_text()  # the one way to tell the embedded AWS from the other


def test_the_command_does_not_depend_on_the_embedded_aws() -> None:
    files = sorted((ROOT / "cli").rglob("*.py"))
    assert files
    assert not {named(file) for file in files if "local" in packages(file)}


def test_archives_are_never_extracted() -> None:
    files = [*DEPLOYED, *sorted((ROOT / "cli").rglob("*.py"))]
    assert not {named(file) for file in files if packages(file) & {"tarfile", "zipfile"}}
    assert not {named(file) for file in files if calls(file, "extract", "extractall", "unpack_archive")}


def test_a_function_is_one_file() -> None:
    for function in FUNCTIONS:
        files = (ROOT / "functions" / function).rglob("*")
        assert {file.name for file in files if "__pycache__" not in file.parts} == {"app.py"}


def test_nothing_has_a_name_that_says_nothing() -> None:
    empty = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}
    words = {named(file): set(file.stem.split("_")) for file in (*DEPLOYED, *(ROOT / "local").rglob("*.py"))}
    assert not {name for name, parts in words.items() if parts & empty}


# ---------------------------------------------------------------- where a run may change


def calls(file: Path, *functions: str) -> list[ast.Call]:
    """Return the calls of functions, told by the last part of their names."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return [node for node in nodes if isinstance(node, ast.Call) and _last(node.func) in functions]


def _last(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def test_only_decide_gives_a_run_another_status() -> None:
    # A plan knows no run.
    elsewhere = [file for file in DEPLOYED if file not in (CORE / "domain" / "decide.py", CORE / "domain" / "plan.py")]
    for file in elsewhere:
        assert not calls(file, "model_construct", "__setattr__"), named(file)
        for call in calls(file, "model_copy"):
            changed = [keyword.value for keyword in call.keywords if keyword.arg == "update"]
            # Only of fields that are written out can this be known.
            assert all(_keys(each) is not None for each in changed), ast.unparse(call)
            assert all("status" not in (_keys(each) or ()) for each in changed), ast.unparse(call)


def _keys(fields: ast.expr) -> set[str] | None:
    """Return the names in a literal dictionary; None when some are not written out."""
    if not isinstance(fields, ast.Dict):
        return None
    keys = {key.value for key in fields.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return keys if len(keys) == len(fields.keys) else None


def test_decide_gives_it_in_one_place_that_knows_the_edges() -> None:
    tree = ast.parse((CORE / "domain" / "decide.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    setting = [function for function in functions if any(_sets_status(node) for node in ast.walk(function))]
    assert [function.name for function in setting] == ["_enter"]
    assert "EDGES" in ast.unparse(setting[0])


def _sets_status(node: ast.AST) -> bool:
    match node:
        case ast.Dict():
            return any(isinstance(key, ast.Constant) and key.value == "status" for key in node.keys)
        case ast.Call():
            return _last(node.func) in {"_change", "_wait", "model_copy"} and "status" in {
                keyword.arg for keyword in node.keywords
            }
    return False


def test_a_run_is_made_in_one_place_that_leaves_its_status_alone() -> None:
    made = [(named(file), call) for file in DEPLOYED for call in calls(file, "Run")]
    assert [name for name, _ in made] == ["layers/core/tunedrop/steps/reconcile.py"]
    keywords = {keyword.arg for _, call in made for keyword in call.keywords}
    assert not keywords & {"status", "previous_status", "version", None}
