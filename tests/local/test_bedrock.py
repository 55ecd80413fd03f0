"""The local Bedrock imports real weights and answers from them, whatever becomes of their source."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from botocore.exceptions import ClientError, EventStreamError
from PIL import Image
from transformers import AutoModelForCausalLM

from local.bedrock.language_model import LanguageModel, Piece, Prompt
from local.bedrock.service import Bedrock
from local.bedrock.settings import Settings
from local.engine.host import Request
from local.jumpstart.models import tiny_llama, tiny_mllama
from tests.local.fake_host import BUCKET, ROLE, UNTRUSTING_ROLE, FakeHost, connect, eventually, fake_host

BASE = "tunedrop.tiny-random-llama"
USER = {"role": "user", "content": [{"text": "hello"}]}
SHORT = {"maxTokens": 5, "temperature": 0.0}


@pytest.fixture(scope="module")
def weights() -> Path:
    return tiny_llama()


@pytest.fixture
def host(tmp_path: Path, weights: Path) -> Iterator[FakeHost]:
    with fake_host(tmp_path) as host:
        for file in weights.iterdir():
            host.client("s3").upload_file(str(file), BUCKET, f"model/{file.name}")
        yield host


@pytest.fixture
def service(host: FakeHost, weights: Path) -> Iterator[Bedrock]:
    service = Bedrock({BASE: weights}, Settings(imported_models=2))
    service.start(host)
    yield service
    service.stop()


@pytest.fixture
def bedrock(service: Bedrock) -> Any:
    return connect(service, "bedrock")


@pytest.fixture(scope="module")
def on_demand(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Any]:
    """A runtime client of one service for all tests that only ask the foundation model: loading it takes seconds."""
    folder = tmp_path_factory.mktemp("on-demand")
    service = Bedrock({BASE: weights})
    service.start(FakeHost(folder, folder))
    yield connect(service, "bedrock-runtime")
    service.stop()


@pytest.fixture
def runtime(service: Bedrock) -> Any:
    return connect(service, "bedrock-runtime")


def job(name: str = "job-1", **changes: Any) -> dict[str, Any]:
    return {
        "jobName": name,
        "importedModelName": name,
        "roleArn": ROLE,
        "modelDataSource": {"s3DataSource": {"s3Uri": f"s3://{BUCKET}/model/"}},
        **changes,
    }


def finished(bedrock: Any, name: str = "job-1") -> dict[str, Any]:
    def state() -> Any:
        answer = bedrock.get_model_import_job(jobIdentifier=name)
        return answer if answer["status"] != "InProgress" else None

    return eventually(state)


def imported(bedrock: Any, name: str = "job-1") -> str:
    bedrock.create_model_import_job(**job(name))
    state = finished(bedrock, name)
    assert state["status"] == "Completed", state
    return str(state["importedModelArn"])


def warm(runtime: Any, **parameters: Any) -> Any:
    """Converse as a patient client does: again while the model is not ready."""

    def answer() -> Any:
        try:
            return runtime.converse(**parameters)
        except runtime.exceptions.ModelNotReadyException:
            return None

    return eventually(answer, 120)


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def replace(host: FakeHost, name: str, **members: Any) -> None:
    """Change members of one of the artifact's JSON files; None removes."""
    s3 = host.client("s3")
    content = json.loads(s3.get_object(Bucket=BUCKET, Key=f"model/{name}")["Body"].read()) | members
    kept = {key: value for key, value in content.items() if value is not None}
    s3.put_object(Bucket=BUCKET, Key=f"model/{name}", Body=json.dumps(kept).encode())


def test_import_makes_a_model_that_can_converse(bedrock: Any, weights: Path, host: FakeHost) -> None:
    arn = imported(bedrock)
    model = bedrock.get_imported_model(modelIdentifier="job-1")
    assert model["modelArn"] == arn == bedrock.get_imported_model(modelIdentifier=arn)["modelArn"]
    assert model["modelArchitecture"] == "LlamaForCausalLM"
    assert model["instructSupported"] is True
    assert model["modelDataSource"]["s3DataSource"]["s3Uri"] == f"s3://{BUCKET}/model/"
    record = json.loads((host.data_dir / "bedrock/imported-models" / arn[-12:] / "imported-model.json").read_text())
    assert record["weightsSha256"] == hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest()
    assert [each["modelName"] for each in bedrock.list_imported_models()["modelSummaries"]] == ["job-1"]


def test_answer_outlives_the_artifact_and_the_engine(host: FakeHost, weights: Path) -> None:
    service = Bedrock({})
    service.start(host)
    arn = imported(connect(service, "bedrock"))
    service.stop()
    s3 = host.client("s3")
    for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    restarted = Bedrock({})
    restarted.start(host)
    try:
        answer = warm(connect(restarted, "bedrock-runtime"), modelId=arn, messages=[USER], inferenceConfig=SHORT)
    finally:
        restarted.stop()
    model = LanguageModel(weights)
    tokens = model.render([{"role": "user", "content": "hello"}])
    (expected,) = model.generate([Prompt(tokens, max_tokens=5, temperature=0, top_p=1)])
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": expected.text}]}


def test_first_call_of_an_imported_model_is_a_cold_start(bedrock: Any, runtime: Any) -> None:
    arn = imported(bedrock)
    code, _ = refused(runtime.converse, modelId=arn, messages=[USER], inferenceConfig=SHORT)
    assert code == "ModelNotReadyException"
    answer = warm(runtime, modelId=arn, messages=[USER], inferenceConfig=SHORT)
    assert answer["stopReason"] in {"end_turn", "max_tokens"}
    assert answer["usage"]["totalTokens"] == answer["usage"]["inputTokens"] + answer["usage"]["outputTokens"]
    assert answer["usage"]["outputTokens"] <= 5
    assert answer["metrics"]["latencyMs"] >= 0


def test_on_demand_model_waits_instead(on_demand: Any) -> None:
    assert on_demand.converse(modelId=BASE, messages=[USER], inferenceConfig=SHORT)["usage"]["outputTokens"] <= 5


def test_concurrent_calls_get_the_answers_of_single_calls(on_demand: Any) -> None:
    questions = [f"question {'x' * length}" for length in range(12)]

    def ask(text: str) -> str:
        turns = [{"role": "user", "content": [{"text": text}]}]
        answer = on_demand.converse(modelId=BASE, messages=turns, inferenceConfig={"maxTokens": 20, "temperature": 0.0})
        return str(answer["output"]["message"]["content"][0]["text"])

    single = [ask(question) for question in questions]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, questions)) == single
    assert len(set(single)) > 1


def test_invoke_model_speaks_the_three_formats(on_demand: Any) -> None:
    def invoke(**body: Any) -> dict[str, Any]:
        return json.loads(on_demand.invoke_model(modelId=BASE, body=json.dumps(body))["body"].read())

    original = invoke(prompt="hello", max_gen_len=5, temperature=0)
    assert set(original) == {"generation", "prompt_token_count", "generation_token_count", "stop_reason", "logprobs"}
    completion = invoke(prompt="hello", max_tokens=5, temperature=0)
    assert completion["object"] == "text_completion"
    assert completion["choices"][0]["text"] == original["generation"]
    chat = invoke(messages=[{"role": "user", "content": "hello"}], max_tokens=5, temperature=0)
    conversed = on_demand.converse(modelId=BASE, messages=[USER], inferenceConfig=SHORT)
    text = conversed["output"]["message"]["content"][0]["text"]
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": text}
    assert chat["usage"]["prompt_tokens"] == conversed["usage"]["inputTokens"]


@pytest.mark.parametrize(
    ("turns", "part"),
    [
        ([{"role": "assistant", "content": [{"text": "a"}]}], "must start with a user message"),
        ([USER, USER], "must alternate between user and assistant roles"),
        (
            [USER, {"role": "assistant", "content": [{"text": "a"}]}],
            "last turn in the conversation to be a user message",
        ),
        ([{"role": "user", "content": []}], "content field in the Message object at messages.0 is empty"),
        ([{"role": "user", "content": [{"text": " "}]}], "ContentBlock object at messages.0.content.0 is blank"),
        ([{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}], "support the image"),
        ([{"role": "user", "content": [{"text": "long " * 2000}]}], "Input is too long for requested model."),
    ],
)
def test_invalid_conversation_is_refused(on_demand: Any, turns: list[Any], part: str) -> None:
    code, message = refused(on_demand.converse, modelId=BASE, messages=turns)
    assert code == "ValidationException"
    assert part in message


def test_temperature_beyond_one_is_refused(on_demand: Any) -> None:
    config = {"temperature": 1.5}
    code, message = refused(on_demand.converse, modelId=BASE, messages=[USER], inferenceConfig=config)
    assert code == "ValidationException"
    assert "'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than" in message


def test_unknown_models_are_told_apart(on_demand: Any) -> None:
    assert refused(on_demand.converse, modelId="no.such-model", messages=[USER]) == (
        "ValidationException",
        "The provided model identifier is invalid.",
    )
    arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"
    assert refused(on_demand.converse, modelId=arn, messages=[USER])[0] == "ResourceNotFoundException"


def test_model_without_chat_template_cannot_converse(host: FakeHost, bedrock: Any, runtime: Any) -> None:
    host.client("s3").delete_object(Bucket=BUCKET, Key="model/chat_template.jinja")
    replace(host, "tokenizer_config.json", chat_template=None)
    arn = imported(bedrock)
    assert bedrock.get_imported_model(modelIdentifier=arn)["instructSupported"] is False
    code, message = refused(runtime.converse, modelId=arn, messages=[USER])
    assert code == "ValidationException"
    assert message.startswith("This action doesn't support the model that you provided.")


@pytest.mark.parametrize(
    ("file", "members", "message"),
    [
        ("config.json", {"architectures": ["GemmaForCausalLM"]}, "architecture GemmaForCausalLM is not supported"),
        ("config.json", {"architectures": ["T5ForConditionalGeneration"]}, "local Bedrock does not serve"),
        ("config.json", {"max_position_embeddings": 131072}, "must be less than 128K"),
        ("tokenizer_config.json", {"tokenizer_class": "XLMTokenizer"}, "tokenizer class XLMTokenizer"),
    ],
)
def test_unsupported_model_fails_its_import(
    host: FakeHost, bedrock: Any, file: str, members: dict[str, Any], message: str
) -> None:
    replace(host, file, **members)
    bedrock.create_model_import_job(**job())
    state = finished(bedrock)
    assert state["status"] == "Failed"
    assert message in state["failureMessage"]
    assert "importedModelArn" not in state
    assert bedrock.list_imported_models()["modelSummaries"] == []


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.safetensors", "safetensors"),
        ("config.json", "config.json"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer"),
    ],
)
def test_missing_file_fails_the_import(host: FakeHost, bedrock: Any, file: str, message: str) -> None:
    host.client("s3").delete_object(Bucket=BUCKET, Key=f"model/{file}")
    bedrock.create_model_import_job(**job())
    state = finished(bedrock)
    assert state["status"] == "Failed"
    assert message in state["failureMessage"]


def test_corrupt_weights_fail_the_import(host: FakeHost, bedrock: Any) -> None:
    host.client("s3").put_object(Bucket=BUCKET, Key="model/model.safetensors", Body=b"not weights")
    bedrock.create_model_import_job(**job())
    assert "not a valid safetensors file" in finished(bedrock)["failureMessage"]


@pytest.mark.parametrize("call", ["ListObjectsV2", "GetObject"])
def test_role_without_read_permission_fails_the_import(host: FakeHost, bedrock: Any, call: str) -> None:
    host.denied = {(ROLE, call), (ROLE, "HeadObject")} if call == "GetObject" else {(ROLE, call)}
    bedrock.create_model_import_job(**job())
    assert "AccessDenied" in finished(bedrock)["failureMessage"]


def test_role_that_bedrock_cannot_assume_is_refused(bedrock: Any) -> None:
    assert refused(bedrock.create_model_import_job, **job(roleArn=UNTRUSTING_ROLE))[0] == "ValidationException"


def test_quotas_names_and_tokens_hold(bedrock: Any) -> None:
    arn = bedrock.create_model_import_job(**job(clientRequestToken="t1"))["jobArn"]
    assert bedrock.create_model_import_job(**job(clientRequestToken="t1"))["jobArn"] == arn
    finished(bedrock)
    assert refused(bedrock.create_model_import_job, **job())[0] == "ConflictException"
    assert refused(bedrock.create_model_import_job, **job("job-2", importedModelName="job-1"))[0] == "ConflictException"
    imported(bedrock, "job-2")
    code, message = refused(bedrock.create_model_import_job, **job("job-3"))
    assert code == "ServiceQuotaExceededException"
    assert "Imported models per account" in message
    bedrock.delete_imported_model(modelIdentifier="job-1")
    assert refused(bedrock.get_imported_model, modelIdentifier="job-1")[0] == "ResourceNotFoundException"
    imported(bedrock, "job-3")


def test_second_import_waits_its_turn(host: FakeHost) -> None:
    service = Bedrock({}, Settings(import_jobs=0))
    service.start(host)
    code, message = refused(connect(service, "bedrock").create_model_import_job, **job())
    service.stop()
    assert code == "ServiceQuotaExceededException"
    assert "Concurrent model import jobs" in message


def test_import_in_flight_fails_when_the_engine_comes_back(host: FakeHost, bedrock: Any) -> None:
    imported(bedrock)
    (path,) = (host.data_dir / "bedrock/model-import-jobs").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "InProgress"}))
    restarted = Bedrock({})
    restarted.start(host)
    state = connect(restarted, "bedrock").get_model_import_job(jobIdentifier="job-1")
    restarted.stop()
    assert state["status"] == "Failed"
    assert "engine stopped" in state["failureMessage"]


def test_jobs_are_listed_newest_first_by_page(bedrock: Any) -> None:
    imported(bedrock, "job-1")
    imported(bedrock, "job-2")
    page = bedrock.list_model_import_jobs(nameContains="job", statusEquals="Completed", maxResults=1)
    assert [each["jobName"] for each in page["modelImportJobSummaries"]] == ["job-2"]
    rest = bedrock.list_model_import_jobs(maxResults=1, nextToken=page["nextToken"])
    assert [each["jobName"] for each in rest["modelImportJobSummaries"]] == ["job-1"]
    assert bedrock.list_model_import_jobs(statusEquals="Failed")["modelImportJobSummaries"] == []


def test_foundation_models_are_described(bedrock: Any) -> None:
    arn = f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}"
    assert [model["modelArn"] for model in bedrock.list_foundation_models()["modelSummaries"]] == [arn]
    assert bedrock.get_foundation_model(modelIdentifier=BASE)["modelDetails"]["inferenceTypesSupported"] == [
        "ON_DEMAND"
    ]
    assert bedrock.list_foundation_models(byProvider="other")["modelSummaries"] == []


def test_idle_model_is_evicted_and_comes_back_cold(host: FakeHost) -> None:
    service = Bedrock({}, Settings(idle_seconds=0.5))
    service.start(host)
    try:
        arn = imported(connect(service, "bedrock"))
        runtime = connect(service, "bedrock-runtime")
        warm(runtime, modelId=arn, messages=[USER], inferenceConfig=SHORT)

        def cold() -> bool:
            code = "ModelNotReadyException"
            try:
                runtime.converse(modelId=arn, messages=[USER], inferenceConfig=SHORT)
            except ClientError as error:
                return bool(error.response["Error"]["Code"] == code)
            finally:
                # Longer than the idle time: each call would keep the model in memory.
                time.sleep(2)
            return False

        eventually(cold)
    finally:
        service.stop()


def test_permissions_are_those_of_aws(service: Bedrock, bedrock: Any) -> None:
    def checks(method: str, path: str, body: bytes = b"{}") -> list[tuple[str, str, dict[str, Any]]]:
        return service.iam(Request(method, path, {}, {}, body))

    arn = imported(bedrock)
    account = "arn:aws:bedrock:us-east-1:123456789012"
    tags = json.dumps({"jobTags": [{"key": "run", "value": "r1"}], "importedModelTags": [{"key": "a", "value": "b"}]})
    assert checks("POST", "/model-import-jobs", tags.encode()) == [
        ("bedrock:CreateModelImportJob", "*", {"aws:RequestTag/run": "r1", "aws:TagKeys": ["run"]}),
        ("bedrock:TagResource", f"{account}:model-import-job/*", {"aws:RequestTag/run": "r1", "aws:TagKeys": ["run"]}),
        ("bedrock:TagResource", f"{account}:imported-model/*", {"aws:RequestTag/a": "b", "aws:TagKeys": ["a"]}),
    ]
    quoted = arn.replace(":", "%3A").replace("/", "%2F")
    assert checks("POST", f"/model/{quoted}/converse") == [("bedrock:InvokeModel", arn, {})]
    stream = "bedrock:InvokeModelWithResponseStream"
    assert checks("POST", f"/model/{quoted}/converse-stream") == [(stream, arn, {})]
    assert checks("POST", f"/model/{quoted}/invoke-with-response-stream") == [(stream, arn, {})]
    assert checks("POST", f"/model/{BASE}/invoke") == [
        ("bedrock:InvokeModel", f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}", {})
    ]
    assert checks("DELETE", "/imported-models/job-1") == [("bedrock:DeleteImportedModel", arn, {})]
    assert checks("GET", "/model-import-jobs") == [("bedrock:ListModelImportJobs", "*", {})]
    assert checks("GET", "/model-import-jobs/none") == [
        ("bedrock:GetModelImportJob", f"{account}:model-import-job/none", {})
    ]


def test_separate_chat_template_wins(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(weights, folder)
    template = "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "{{ 'the other' }}"}))
    model = LanguageModel(folder)
    tokens = model.render([{"role": "user", "content": "ab"}])
    assert model.decode(tokens) == "<|im_start|>[ab]"


def test_answer_ends_at_stop_sequence_and_token_limit(weights: Path) -> None:
    model = LanguageModel(weights)
    tokens = model.encode("hello")
    (free,) = model.generate([Prompt(tokens, max_tokens=12, temperature=0, top_p=1)])
    assert (free.stop_reason, free.output_tokens) == ("max_tokens", 12)
    stop = free.text[4:6]
    (stopped,) = model.generate([Prompt(tokens, max_tokens=12, temperature=0, top_p=1, stop_sequences=(stop,))])
    assert stopped.stop_reason == "stop_sequence"
    assert stopped.text == free.text[: free.text.index(stop)]


def test_batch_gives_the_answers_of_single_prompts(weights: Path) -> None:
    model = LanguageModel(weights)
    prompts = [
        Prompt(model.encode("word " * length), max_tokens=3 * length, temperature=0, top_p=1) for length in range(1, 9)
    ]
    assert model.generate(prompts) == [model.generate([prompt])[0] for prompt in prompts]


def test_sampling_varies_within_the_most_likely_tokens(weights: Path) -> None:
    model = LanguageModel(weights)
    tokens = model.encode("hello")
    hot = [Prompt(tokens, max_tokens=8, temperature=1, top_p=1)] * 8
    assert len({answer.text for answer in model.generate(hot)}) > 1
    narrow = [Prompt(tokens, max_tokens=8, temperature=1, top_p=0)] * 8
    (greedy,) = model.generate([Prompt(tokens, max_tokens=8, temperature=0, top_p=1)])
    assert {answer.text for answer in model.generate(narrow)} == {greedy.text}


SEEN = "tunedrop.tiny-random-mllama"
ASKED = "which company?"


def picture(shade: int, kind: str = "PNG") -> bytes:
    """Return the file of a page with a dark corner."""
    page = Image.new("RGB", (64, 64), "white")
    page.paste((shade, 0, 0), (0, 0, 32, 32))
    content = io.BytesIO()
    page.save(content, kind)
    return content.getvalue()


def about(content: bytes, kind: str = "png") -> list[dict[str, Any]]:
    image = {"image": {"format": kind, "source": {"bytes": content}}}
    return [{"role": "user", "content": [image, {"text": ASKED}]}]


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def chat(url: str) -> dict[str, Any]:
    """Return an OpenAI chat request about the picture behind a URL."""
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": ASKED}]
    return {"messages": [{"role": "user", "content": parts}], "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A runtime client of one service for all tests that ask about pictures."""
    folder = tmp_path_factory.mktemp("seeing")
    service = Bedrock({SEEN: tiny_mllama()})
    service.start(FakeHost(folder, folder))
    yield connect(service, "bedrock-runtime")
    service.stop()


def test_a_vision_models_artifact_is_imported_and_answers_about_pictures(host: FakeHost) -> None:
    for file in tiny_mllama().iterdir():
        host.client("s3").upload_file(str(file), BUCKET, f"model/{file.name}")
    service = Bedrock({})
    service.start(host)
    try:
        bedrock = connect(service, "bedrock")
        arn = imported(bedrock)
        model = bedrock.get_imported_model(modelIdentifier=arn)
        answer = warm(
            connect(service, "bedrock-runtime"), modelId=arn, messages=about(picture(0)), inferenceConfig=SHORT
        )
    finally:
        service.stop()
    assert (model["modelArchitecture"], model["instructSupported"]) == ("MllamaForConditionalGeneration", True)
    seen = LanguageModel(tiny_mllama())
    tokens = seen.render([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ASKED}]}])
    page = Image.open(io.BytesIO(picture(0)))
    (expected,) = seen.generate([Prompt(tokens, max_tokens=5, temperature=0, top_p=1, pictures=(page,))])
    assert answer["output"]["message"]["content"] == [{"text": expected.text}]
    assert answer["usage"]["inputTokens"] == len(tokens)


def test_a_vision_model_without_its_image_processor_is_not_imported(host: FakeHost, bedrock: Any) -> None:
    for file in tiny_mllama().iterdir():
        host.client("s3").upload_file(str(file), BUCKET, f"model/{file.name}")
    host.client("s3").delete_object(Bucket=BUCKET, Key="model/preprocessor_config.json")
    bedrock.create_model_import_job(**job())
    assert "preprocessor_config.json" in finished(bedrock)["failureMessage"]


def test_converse_and_the_chat_form_give_the_same_answer_about_a_picture(seeing: Any) -> None:
    config = {"maxTokens": 8, "temperature": 0.0}
    conversed = seeing.converse(modelId=SEEN, messages=about(picture(0)), inferenceConfig=config)
    body = seeing.invoke_model(modelId=SEEN, body=json.dumps(chat(data_url(picture(0)))))["body"].read()
    text = conversed["output"]["message"]["content"][0]["text"]
    assert json.loads(body)["choices"][0]["message"]["content"] == text


def test_pictures_that_are_asked_about_together_are_not_mixed_up() -> None:
    seen = LanguageModel(tiny_mllama())

    def prompt(shade: int | None, text: str) -> Prompt:
        image = [] if shade is None else [{"type": "image"}]
        tokens = seen.render([{"role": "user", "content": [*image, {"type": "text", "text": text}]}])
        page = () if shade is None else (Image.open(io.BytesIO(picture(shade))),)
        return Prompt(tokens, max_tokens=12, temperature=0, top_p=1, pictures=page)

    # Of different lengths, so that the shorter prompts are padded, and one without a picture among them.
    prompts = [prompt(0, "short"), prompt(255, "a longer question"), prompt(None, "no picture"), prompt(128, "")]
    alone = [seen.generate([each])[0] for each in prompts]
    assert seen.generate(prompts) == alone
    assert len({answer.text for answer in alone}) > 1


@pytest.mark.parametrize(
    ("turns", "part"),
    [
        (about(b"no picture"), "Could not process image"),
        (about(picture(0)[:90]), "Could not process image"),
        ([{"role": "user", "content": [{"text": "<|image|> in words"}]}], "number of image tokens"),
    ],
)
def test_a_picture_that_cannot_be_seen_is_refused(seeing: Any, turns: list[Any], part: str) -> None:
    code, message = refused(seeing.converse, modelId=SEEN, messages=turns, inferenceConfig=SHORT)
    assert code == "ValidationException"
    assert part in message


def test_only_data_urls_are_read(seeing: Any, on_demand: Any) -> None:
    body = json.dumps(chat("https://example.com/a.png"))
    assert "must be a data URL" in refused(seeing.invoke_model, modelId=SEEN, body=body)[1]
    body = json.dumps(chat(data_url(picture(0))))
    assert "only supports text content" in refused(on_demand.invoke_model, modelId=BASE, body=body)[1]


def test_converse_renders_several_turns_with_the_models_own_template(on_demand: Any, weights: Path) -> None:
    said = [("user", "hello"), ("assistant", "yes?"), ("user", "more")]
    answer = on_demand.converse(
        modelId=BASE,
        system=[{"text": "be brief"}],
        messages=[{"role": role, "content": [{"text": text}]} for role, text in said],
        inferenceConfig=SHORT,
    )
    model = LanguageModel(weights)
    tokens = model.render([{"role": role, "content": text} for role, text in [("system", "be brief"), *said]])
    (expected,) = model.generate([Prompt(tokens, max_tokens=5, temperature=0, top_p=1)])
    assert answer["output"]["message"]["content"] == [{"text": expected.text}]
    assert answer["usage"]["inputTokens"] == len(tokens)


def first_likelihoods(weights: Path, tokens: tuple[int, ...]) -> torch.Tensor:
    """Return the log probability of every token in the place after `tokens`, by transformers itself."""
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens])).logits[0, -1].log_softmax(dim=0)


def invoked(runtime: Any, body: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(runtime.invoke_model(modelId=BASE, body=json.dumps(body))["body"].read()))


def chunks(runtime: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    events = runtime.invoke_model_with_response_stream(modelId=BASE, body=json.dumps(body))["body"]
    return [json.loads(event["chunk"]["bytes"]) for event in events]


def test_log_probabilities_of_an_answer_are_told_by_token_ids_in_the_original_format(
    on_demand: Any, weights: Path
) -> None:
    told = invoked(on_demand, {"prompt": "hello", "max_gen_len": 3, "temperature": 0, "return_logprobs": True})
    scores = first_likelihoods(weights, LanguageModel(weights).encode("hello"))
    assert len(told["logprobs"]) == told["generation_token_count"]
    assert told["logprobs"][0] == {str(int(scores.argmax())): pytest.approx(float(scores.max()), abs=1e-4)}


ASKS_FOR_TWO = {"max_tokens": 4, "temperature": 0, "logprobs": True, "top_logprobs": 2}


def test_log_probabilities_of_a_chat_answer_are_told_as_openai_does(on_demand: Any, weights: Path) -> None:
    told = invoked(on_demand, {"messages": [{"role": "user", "content": "hello"}], **ASKS_FOR_TWO})
    model = LanguageModel(weights)
    values, likeliest = first_likelihoods(weights, model.render([{"role": "user", "content": "hello"}])).topk(2)
    (choice,) = told["choices"]
    assert len(choice["logprobs"]["content"]) == told["usage"]["completion_tokens"]
    first = choice["logprobs"]["content"][0]
    texts = [model.decode([int(token)]) for token in likeliest]
    assert (first["token"], first["bytes"]) == (texts[0], list(texts[0].encode()))
    assert first["logprob"] == pytest.approx(float(values[0]), abs=1e-4)
    assert [each["token"] for each in first["top_logprobs"]] == texts
    assert [each["logprob"] for each in first["top_logprobs"]] == pytest.approx(values.tolist(), abs=1e-4)


def test_log_probabilities_are_those_of_the_model_whatever_the_temperature(on_demand: Any, weights: Path) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1, "logprobs": True}
    scores = first_likelihoods(weights, LanguageModel(weights).render(body["messages"]))
    for temperature in (0, 2):
        told = invoked(on_demand, {**body, "temperature": temperature, "top_logprobs": 1})
        (top,) = told["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        assert top["logprob"] == pytest.approx(float(scores.max()), abs=1e-4)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"top_logprobs": 2}, "`logprobs` must be set to true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs is not valid"),
        ({"logprobs": True, "prompt_logprobs": 1}, "prompt_logprobs"),
    ],
)
def test_log_probabilities_that_are_not_told_are_refused(on_demand: Any, asked: dict[str, Any], part: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], **asked})
    assert part in refused(on_demand.invoke_model, modelId=BASE, body=body)[1]


def test_converse_stream_tells_the_answer_of_converse_piece_by_piece(on_demand: Any) -> None:
    asked = {"modelId": BASE, "messages": [USER], "inferenceConfig": SHORT}
    whole = on_demand.converse(**asked)
    events = list(on_demand.converse_stream(**asked)["stream"])
    kinds = [next(iter(event)) for event in events]
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert kinds == [
        "messageStart",
        *["contentBlockDelta"] * len(deltas),
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert len(deltas) > 1
    assert "".join(each["delta"]["text"] for each in deltas) == whole["output"]["message"]["content"][0]["text"]
    assert events[-2]["messageStop"] == {"stopReason": whole["stopReason"]}
    assert events[-1]["metadata"]["usage"] == whole["usage"]


@pytest.mark.parametrize(
    ("body", "text", "piece"),
    [
        (
            {"prompt": "hello", "max_gen_len": 5},
            lambda answer: answer["generation"],
            lambda chunk: chunk["generation"],
        ),
        (
            {"prompt": "hello", "max_tokens": 5},
            lambda answer: answer["choices"][0]["text"],
            lambda chunk: chunk["choices"][0]["text"],
        ),
        (
            {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5},
            lambda answer: answer["choices"][0]["message"]["content"],
            lambda chunk: chunk["choices"][0]["delta"]["content"],
        ),
    ],
)
def test_a_stream_of_chunks_tells_the_answer_in_the_body_s_own_format(
    on_demand: Any, body: dict[str, Any], text: Any, piece: Any
) -> None:
    body = {**body, "temperature": 0}
    told = chunks(on_demand, body)
    assert len(told) > 2
    assert "".join(piece(chunk) for chunk in told) == text(invoked(on_demand, body))
    assert told[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 5


def test_a_stream_tells_the_log_probability_of_every_token_once(on_demand: Any) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], **ASKS_FOR_TWO}
    whole = invoked(on_demand, body)["choices"][0]["logprobs"]["content"]
    said = [chunk["choices"][0]["logprobs"] for chunk in chunks(on_demand, body)]
    assert [each for part in said if part for each in part["content"]] == whole


def test_a_stream_that_cannot_begin_is_refused_as_the_whole_answer_is(on_demand: Any) -> None:
    long = [{"role": "user", "content": [{"text": "x" * 5000}]}]
    assert refused(on_demand.converse_stream, modelId=BASE, messages=long)[0] == "ValidationException"


def test_a_stream_whose_model_dies_ends_with_an_error(service: Bedrock) -> None:
    runtime = connect(service, "bedrock-runtime")
    config = {"maxTokens": 200, "temperature": 1.0}
    stream = runtime.converse_stream(modelId=BASE, messages=[USER], inferenceConfig=config)["stream"]
    events = iter(stream)
    next(events)
    service.stop()
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        list(events)


def test_pieces_hold_no_half_of_a_stop_sequence(weights: Path) -> None:
    model = LanguageModel(weights)
    tokens = model.encode("hello")
    (free,) = model.generate([Prompt(tokens, max_tokens=12, temperature=0, top_p=1)])
    pieces: list[Piece] = []
    stops = (free.text[4:6], free.text[1:3] + "never")
    asked = Prompt(tokens, max_tokens=12, temperature=0, top_p=1, stop_sequences=stops)
    (answer,) = model.generate([asked], [pieces.append])
    assert answer.text == free.text[: free.text.index(stops[0])]
    assert "".join(piece.text for piece in pieces) == answer.text
