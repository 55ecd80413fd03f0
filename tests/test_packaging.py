"""What is pinned, built and measured agrees with itself and with the template."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.stack import FUNCTIONS, TEMPLATE

ROOT = Path(__file__).parents[1]
LAYERS = {
    "core": "CoreLayer",
    "deps": "DepsLayer",
    "sagemaker": "SageMakerLayer",
    "validation": "ValidationLayer",
    "evaluation": "EvaluationLayer",
}
REQUIREMENTS = [
    "layers/deps/requirements.txt",
    "layers/evaluation/requirements.txt",
    "layers/sagemaker/requirements.txt",
    "layers/validation/requirements.txt",
    "local/requirements.txt",
    "requirements-dev.txt",
]


def pins(path: str) -> dict[str, str]:
    """Return the version of every distribution; `-r` and `-e` lines are left out."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / path).read_text().splitlines()]
    return dict(_pin(line) for line in lines if line and not line.startswith("-"))


def _pin(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z,-]+\])?==([A-Za-z0-9.+]+)", requirement)
    assert match, f"{requirement} is not pinned to one version"
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


def test_every_requirement_is_pinned_to_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    versions: dict[str, set[str]] = {}
    for name, version in [*(pin for path in REQUIREMENTS for pin in pins(path).items()), *map(_pin, project)]:
        versions.setdefault(name, set()).add(version)

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_no_function_carries_a_distribution_twice() -> None:
    folders = {logical_id: folder for folder, logical_id in LAYERS.items() if folder != "core"}
    shared = TEMPLATE["Globals"]["Function"]["Layers"]
    for properties in FUNCTIONS.values():
        carried = [each["Ref"] for each in (*shared, *properties.get("Layers", ()))]
        found = [
            name for each in carried if each in folders for name in pins(f"layers/{folders[each]}/requirements.txt")
        ]
        assert len(found) == len(set(found))


@pytest.mark.parametrize(("folder", "logical_id"), LAYERS.items())
def test_the_template_finds_the_target_that_builds_a_layer(folder: str, logical_id: str) -> None:
    layer = TEMPLATE["Resources"][logical_id]

    assert layer["Properties"]["ContentUri"] == f"layers/{folder}"
    assert layer["Metadata"]["BuildMethod"] == "makefile"
    assert re.search(rf"^build-{logical_id}:$", (ROOT / "layers" / folder / "Makefile").read_text(), re.MULTILINE)


def test_wheels_are_for_the_python_and_the_processor_that_the_template_names() -> None:
    function = TEMPLATE["Globals"]["Function"]
    python = function["Runtime"].removeprefix("python")
    (architecture,) = function["Architectures"]
    for folder in ("deps", "sagemaker", "validation", "evaluation"):
        makefile = (ROOT / "layers" / folder / "Makefile").read_text()
        assert f"--python-version {python} " in makefile
        assert f"ARCHITECTURE ?= {architecture}\n" in makefile
    for folder in LAYERS:
        assert f"RUNTIME_PYTHON ?= python{python}\n" in (ROOT / "layers" / folder / "Makefile").read_text()


def test_the_core_layer_holds_our_package_and_nothing_else(tmp_path: Path) -> None:
    command = ["make", "--silent", "build-CoreLayer", f"ARTIFACTS_DIR={tmp_path}", "RUNTIME_PYTHON=false"]
    subprocess.run(command, cwd=ROOT / "layers" / "core", check=True)

    assert [each.name for each in (tmp_path / "python").iterdir()] == ["tunedrop"]
    assert (tmp_path / "python/tunedrop/domain/planning.py").is_file()
    assert list(tmp_path.rglob("*.pyc")) == []


@pytest.fixture
def package_sizes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package_sizes", ROOT / ".ci" / "package_sizes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def built_template(tmp_path: Path) -> Path:
    """Lay out a function of 100 bytes with two layers, of 1,000 and 10,000, as `sam build` does."""
    for path, size in (("one/app.py", 100), ("Shared/a.py", 1000), ("Own/b.pyc", 10_000)):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(b"x" * size)
    template = tmp_path / "template.yaml"
    template.write_text("""
Globals: {Function: {Layers: [{Ref: Shared}]}}
Resources:
  Shared: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Shared}}
  Own: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Own}}
  One:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: one, Layers: [!Ref Own], Role: !GetAtt Role.Arn, Name: !Sub ['${A}', {A: b}]}
""")
    return template


def test_a_function_is_measured_with_its_own_layers_and_the_shared_ones(
    package_sizes: ModuleType, built_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_sizes, "LIMIT", 11_100)
    assert package_sizes.main(built_template) == 0

    monkeypatch.setattr(package_sizes, "LIMIT", 11_099)
    assert package_sizes.main(built_template) == 1


def test_a_layer_that_was_not_compiled_is_said_so(
    package_sizes: ModuleType, built_template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package_sizes.main(built_template)

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["Shared"].endswith("no: slower starts")
    assert lines["Own"].endswith("yes")


def test_every_target_of_the_makefile_is_explained() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)

    assert targets
    assert [line.split()[1] for line in printed.splitlines()] == targets[1].split()
