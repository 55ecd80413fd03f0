"""A failed training job is told with its cause and the line to change, and never with a row of the user's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import PLAN
from tunedrop.domain.diagnosis import diagnose
from tunedrop.domain.plan import Plan
from tunedrop.domain.problem import Problem

ROW = "CANARY-4111-1111 my doctor says"
SETTINGS = {
    "epoch": "4",
    "per_device_train_batch_size": "4",
    "int8_quantization": "False",
    "enable_fsdp": "True",
    "learning_rate": "0.0001",
    "max_input_length": "2048",
}
COMMAND = "--accept_eula true --enable_fsdp False --int8_quantization True"
ALGORITHM = (
    'AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{message}"\n'
    'Command "/opt/conda/bin/python3.10 transfer_learning.py ' + COMMAND + '", exit code: {code}'
)
CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
QUOTA = (
    "ResourceLimitExceeded: The account-level service limit 'ml.g5.12xlarge for training job usage' is {limit} "
    "Instances, with current utilization of {used} Instances and a request delta of 1 Instances."
)
OUT_OF_MEMORY = (
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB (GPU 0; 22.20 GiB total capacity; "
    "19.67 GiB already allocated)"
)


def algorithm_error(message: str, code: int = 1) -> str:
    return ALGORITHM.format(code=code, message=message)


def plan(instance_type: str = "ml.g5.12xlarge", budget_usd: float | None = None, **settings: str) -> Plan:
    training = PLAN.training.model_copy(update={"hyperparameters": SETTINGS | settings, "instance_type": instance_type})
    return PLAN.model_copy(update={"training": training, "budget_usd": budget_usd})


def told(reason: str, *log: str, of: Plan | None = None) -> Problem:
    return diagnose(reason, log, of or plan())


@pytest.mark.parametrize(
    ("reason", "log", "code"),
    [
        pytest.param(CAPACITY, (), "training.capacity", id="pain-11"),
        pytest.param(QUOTA.format(limit=0, used=0), (), "training.no-quota", id="pain-9"),
        pytest.param(QUOTA.format(limit=1, used=1), (), "training.quota", id="pain-10"),
        pytest.param("ThrottlingException: Rate exceeded", (), "training.throttled", id="pain-21"),
        pytest.param("ClientError: Need to define accept_eula=true in Environment", (), "training.eula", id="pain-12"),
        pytest.param(
            "ClientError: AccessDenied when calling GetObject on s3://jumpstart-private-cache-prod-us-east-1/x",
            (),
            "training.eula",
            id="gated-weights",
        ),
        pytest.param(
            "ClientError: Data download failed: No S3 objects found under S3 URL "
            "s3://jumpstart-cache-prod-us-east-1/meta-training/g6/train.tar.gz",
            (),
            "training.artifact",
            id="pain-14",
        ),
        pytest.param(
            algorithm_error("ValueError: int8_quantization and enable_fsdp cannot both be True"),
            (),
            "training.memory-mode",
            id="pain-16",
        ),
        pytest.param(
            algorithm_error("ValueError"),
            ("ValueError: FSDP with int8 quantization is not supported",),
            "training.memory-mode",
            id="pain-16-log",
        ),
        pytest.param(algorithm_error("ChildFailedError"), (OUT_OF_MEMORY,), "training.gpu-memory", id="pain-17"),
        pytest.param(
            "InternalServerError: We encountered an internal error. Please try again.",
            (),
            "training.aws-fault",
            id="aws-fault",
        ),
        pytest.param(
            "ClientError: User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: "
            "sagemaker:AddTags on resource: arn:aws:sagemaker:us-east-1:123456789012:training-job/a",
            (),
            "training.permission-tags",
            id="pain-19",
        ),
        pytest.param(
            "ClientError: Failed to upload model artifacts: An error occurred (AccessDenied) when calling the "
            "PutObject operation: not authorized to perform: kms:GenerateDataKey on arn:aws:kms:us-east-1:1:key/a",
            (),
            "training.kms",
            id="pain-20",
        ),
        pytest.param("MaxRuntimeExceeded", (), "training.time-limit", id="pain-22"),
        pytest.param("MaxWaitTimeExceeded", (), "training.interrupted", id="spot-never-came"),
        pytest.param("ClientError: Spot instance was interrupted", (), "training.interrupted", id="spot-taken"),
        pytest.param(
            "ClientError: Cannot find repository: training in registry ID: 123456789012",
            (),
            "training.image",
            id="image",
        ),
        pytest.param(
            "ClientError: Data download failed:Failed to download data. Access denied",
            (),
            "training.data-download",
            id="s3",
        ),
        pytest.param(
            algorithm_error("OSError: [Errno 28] No space left on device"), (), "training.disk-full", id="disk"
        ),
        pytest.param(algorithm_error("", 137), (), "training.host-memory", id="host-killed"),
        pytest.param(
            "ClientError: Please use an instance type with more memory, or reduce the size of training data processed "
            "on an instance.",
            (),
            "training.host-memory",
            id="host-sagemaker",
        ),
        pytest.param(
            algorithm_error("ChildFailedError"),
            ("Signal 9 (SIGKILL) received by PID 82",),
            "training.host-memory",
            id="host-torch",
        ),
        pytest.param(algorithm_error("Exception"), ("step 10 loss=nan lr=0.1",), "training.nan-loss", id="nan"),
        pytest.param(
            algorithm_error("Exception"),
            ("{'grad_norm': 1}", "train loss: tensor(nan, device='cuda:0')"),
            "training.nan-loss",
        ),
        pytest.param(
            algorithm_error("Part or all of input keys in the prompt template are found missing in the data"),
            (),
            "training.template",
            id="pain-1",
        ),
        pytest.param(
            algorithm_error("Invalid dataset. Does not match any expected format"), (), "training.data", id="pain-2"
        ),
        pytest.param(
            algorithm_error("Maximum input token count 4919 exceeds limit of 4096"),
            (),
            "training.too-long",
            id="pain-4",
        ),
        pytest.param(
            algorithm_error("Exception"),
            ("json.decoder.JSONDecodeError: Expecting value: line 1",),
            "training.data",
            id="pain-6",
        ),
        pytest.param(algorithm_error("Exception"), ("KeyError: 'dialog'",), "training.data", id="pain-7"),
        pytest.param(algorithm_error("RuntimeError: it broke"), (), "training.script", id="script"),
        pytest.param("", (), "training.failed", id="nothing"),
    ],
)
def test_a_known_failure_is_explained(reason: str, log: tuple[str, ...], code: str) -> None:
    problem = told(reason, *log)
    assert problem.code == code
    assert problem.message
    assert problem.fix


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "per_device_train_batch_size: 1"),
        ({"per_device_train_batch_size": "1"}, "int8_quantization: True"),
        (
            {"per_device_train_batch_size": "1", "int8_quantization": "True", "gradient_checkpointing": "False"},
            "gradient_checkpointing: True",
        ),
        ({"per_device_train_batch_size": "1", "int8_quantization": "True"}, "max_input_length: 1024"),
        (
            {"per_device_train_batch_size": "1", "int8_quantization": "True", "max_input_length": "-1"},
            "instance_type: ml.g5.48xlarge",
        ),
    ],
)
def test_pain_17_out_of_memory_is_mended_by_the_cheapest_change_that_is_left(
    settings: dict[str, str], line: str
) -> None:
    problem = told(algorithm_error("x"), OUT_OF_MEMORY, of=plan(**settings))
    assert f"`{line}`" in problem.fix
    assert problem.where.startswith("tune.yaml: ")


@pytest.mark.parametrize(
    ("now", "larger"),
    [
        ("ml.g5.2xlarge", "ml.g5.12xlarge"),
        ("ml.g5.24xlarge", "ml.g5.48xlarge"),
        ("ml.p4d.24xlarge", "ml.p4de.24xlarge"),
        ("ml.p5e.48xlarge", "ml.p5e.48xlarge"),
        ("ml.unknown.xlarge", "ml.g5.2xlarge"),
    ],
)
def test_a_larger_instance_has_more_gpu_memory(now: str, larger: str) -> None:
    problem = told(algorithm_error("OSError: No space left on device"), of=plan(now))
    assert f"`instance_type: {larger}`" in problem.fix


def test_pain_9_a_quota_of_zero_is_raised_and_one_in_use_is_waited_for() -> None:
    zero, used = told(QUOTA.format(limit=0, used=0)), told(QUOTA.format(limit=2, used=2))
    assert "Request an increase of 'ml.g5.12xlarge for training job usage'" in zero.fix
    assert "aws service-quotas" in zero.fix
    assert "2 of 2 instances" in used.fix


def test_a_quota_that_aws_does_not_name_is_that_of_spot_for_a_training_on_spot() -> None:
    training = PLAN.training.model_copy(update={"max_wait_seconds": 7200})
    zero = "ResourceLimitExceeded: The account-level service limit is 0"
    assert (
        "'ml.g5.12xlarge for spot training job usage'"
        in told(
            zero,
            of=plan().model_copy(update={"training": training.model_copy(update={"instance_type": "ml.g5.12xlarge"})}),
        ).fix
    )


def test_pain_22_a_time_limit_is_mended_by_money_or_fewer_epochs() -> None:
    assert "`budget_usd: 80`" in told("MaxRuntimeExceeded", of=plan(budget_usd=40)).fix
    assert "`epoch: 2`" in told("MaxRuntimeExceeded").fix


@pytest.mark.parametrize(("rate", "smaller"), [("0.0001", "1e-05"), ("0.02", "0.002"), ("fast", "1e-05")])
def test_a_loss_that_is_no_number_is_mended_by_smaller_steps(rate: str, smaller: str) -> None:
    problem = told(algorithm_error("x"), "Loss is NaN", of=plan(learning_rate=rate))
    assert f"`learning_rate: {smaller}`" in problem.fix


def test_the_names_of_hyperparameters_that_every_job_prints_tell_nothing() -> None:
    log = (
        'SM_HPS={"accept_eula":"must be set","enable_fsdp":"False","int8_quantization":"True, both cannot"}',
        '    "enable_fsdp": "False", "int8_quantization": "cannot"',
    )
    assert told(algorithm_error("RuntimeError"), *log).code == "training.script"


def test_aws_s_words_in_a_row_are_not_aws_s() -> None:
    assert told(algorithm_error(f"ValueError: {CAPACITY}"), CAPACITY, QUOTA).code == "training.script"


def test_an_unforeseen_failure_names_its_exception_and_exit_code_and_no_more() -> None:
    problem = told(
        algorithm_error(f"builtins.ValueError: cannot read {ROW}", 3), f"botocore.exceptions.FooError: {ROW}"
    )
    assert problem.message == "The training script failed with botocore.exceptions.FooError, exit code 3."


def test_an_unforeseen_reason_of_aws_is_quoted_on_one_short_line() -> None:
    problem = told(f"ClientError: {'strange ' * 40}\nand more")
    assert problem.code == "training.failed"
    assert "ClientError: strange" in problem.message
    assert "and more" not in str(problem)
    assert len(problem.message) < 120


@pytest.mark.parametrize(
    "message", ["ValueError: {}", "{}Error", "KeyError: '{}'", "OutOfMemoryError: {}", "loss nan {}", "{}"]
)
def test_no_row_is_ever_quoted(message: str) -> None:
    text = message.format(ROW)
    for reason, log in (
        (algorithm_error(text), ()),
        (algorithm_error("x"), (text,)),
        ("AlgorithmError: " + text, (text,)),
    ):
        assert "CANARY" not in str(told(reason, *log))
        assert "doctor" not in str(told(reason, *log))


@given(st.text(), st.lists(st.text(), max_size=5))
def test_diagnosis_is_total_and_its_message_one_line(reason: str, log: list[str]) -> None:
    problem = diagnose(reason, log, plan())
    assert problem.code.startswith("training.")
    assert "\n" not in str(problem)
