"""Each function starts with nothing but its own layers, as on Lambda."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.engine.layers import requirements_site
from tests.samples import ACCOUNT, REGION, STACK
from tests.stack import FUNCTIONS, ROOT, TEMPLATE
from tests.stack import environment as given

START = """
import json, sys
sys.path[:0] = sys.argv[1:]
import app
assert callable(app.handler)
print(json.dumps({name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}))
"""


READERS = {"validate_dataset", "scan_range", "merge_scans"}
"""The functions that read datasets, and carry the layer for that."""


@pytest.fixture(scope="module")
def layers() -> dict[str, Path]:
    return {
        "CoreLayer": ROOT / "layers" / "core",
        "DepsLayer": requirements_site((ROOT / "layers/deps/requirements.txt").read_bytes(), print),
        "SageMakerLayer": requirements_site((ROOT / "layers/sagemaker/requirements.txt").read_bytes(), print),
        "EvaluationLayer": requirements_site((ROOT / "layers/evaluation/requirements.txt").read_bytes(), print),
        "ValidationLayer": requirements_site((ROOT / "layers/validation/requirements.txt").read_bytes(), print),
    }


def environment(function: str) -> dict[str, str]:
    """Return the variables that the template gives the function, and those of Lambda itself."""
    return given(function) | {
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": f"{STACK}-{function}-{ACCOUNT}",
    }


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_starts_with_its_own_layers_and_nothing_else(function: str, layers: dict[str, Path]) -> None:
    properties = FUNCTIONS[function]
    carried = [*TEMPLATE["Globals"]["Function"]["Layers"], *properties.get("Layers", [])]
    folders = [str(ROOT / properties["CodeUri"]), *(str(layers[each["Ref"]]) for each in carried)]
    started = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START, *folders],
        env=environment(function),
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 0, started.stderr
    modules: dict[str, str | None] = json.loads(started.stdout.splitlines()[-1])
    assert "tunedrop.bootstrap" in modules
    assert ("sagemaker.core" in modules) == (function == "plan_run")
    assert ("tunedrop.validation.scan" in modules) == (function in READERS)
    assert ("tunedrop.evaluation.paired" in modules) == (function == "evaluate_model")
    assert ("tunedrop.evaluation.metrics" in modules) == (function in {"ask_range", "evaluate_model"})
    standard = str(Path(json.__file__).parents[1])
    strangers = {
        name: file
        for name, file in modules.items()
        if file and ("site-packages" in file or not file.startswith((*folders, standard)))
    }
    assert not strangers
