"""The local SageMaker trains for real: it runs the code channel's script in SageMaker's container contract."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.engine.host import Request
from local.sagemaker.service import SageMaker
from local.sagemaker.settings import Settings
from tests.local.fake_host import BUCKET, ROLE, UNTRUSTING_ROLE, FakeHost, connect, eventually, fake_host

SCRIPT = """
    import json, os, pathlib, sys
    rows = (pathlib.Path(os.environ["SM_CHANNEL_TRAINING"]) / "data.txt").read_text().split()
    for epoch in range(int(json.loads(os.environ["SM_HPS"])["epoch"])):
        print(f"train_epoch_loss={1 / (epoch + 1):.4f}")
    model = pathlib.Path(os.environ["SM_MODEL_DIR"])
    (model / "weights").mkdir()
    (model / "weights" / "sum.txt").write_text(str(sum(map(int, rows))))
    (model / "environment.json").write_text(json.dumps(dict(os.environ)))
    (model / "arguments.json").write_text(json.dumps(sys.argv[1:]))
    config = pathlib.Path(os.environ["SM_INPUT_CONFIG_DIR"])
    (model / "config.json").write_text(json.dumps({p.stem: json.loads(p.read_text()) for p in config.iterdir()}))
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    with fake_host(tmp_path) as host:
        host.client("s3").put_object(Bucket=BUCKET, Key="run/training/data.txt", Body=b"1 2 3")
        yield host


@pytest.fixture
def service(host: FakeHost) -> Iterator[SageMaker]:
    service = SageMaker(Settings(instance_quota=2, stop_grace_seconds=1))
    service.start(host)
    yield service
    service.stop()


@pytest.fixture
def sagemaker(service: SageMaker) -> Any:
    return connect(service, "sagemaker")


def put_script(host: FakeHost, text: str = SCRIPT) -> None:
    content = textwrap.dedent(text).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("train.py")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    host.client("s3").put_object(Bucket=BUCKET, Key="code/sourcedir.tar.gz", Body=archive.getvalue())


def channel(name: str, key: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{key}", "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def job(name: str = "job-1", **changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "image:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "train-loss", "Regex": r"train_epoch_loss=([0-9\.]+)"}],
        },
        "HyperParameters": {
            "epoch": '"2"',
            "mode": "plain",
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"/opt/ml/input/data/code/sourcedir.tar.gz"',
        },
        "InputDataConfig": [channel("training", "run/training/"), channel("code", "code/sourcedir.tar.gz")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "NONE"},
        "ResourceConfig": {"InstanceType": "ml.g5.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "EnableNetworkIsolation": True,
        "Tags": [{"Key": "run", "Value": "r1"}],
        **changes,
    }


def ended(sagemaker: Any, name: str = "job-1") -> dict[str, Any]:
    def terminal() -> Any:
        description = sagemaker.describe_training_job(TrainingJobName=name)
        return description if description["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

    return eventually(terminal)


def stored(host: FakeHost, key: str) -> bytes:
    return host.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_job_trains_and_stores_its_model_uncompressed(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    arn = sagemaker.create_training_job(**job())["TrainingJobArn"]
    description = ended(sagemaker)
    assert description["TrainingJobStatus"] == "Completed", description
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1"
    assert description["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/job-1/output/model/"
    assert stored(host, "out/job-1/output/model/weights/sum.txt") == b"6"
    assert description["BillableTimeInSeconds"] >= 0
    assert [step["Status"] for step in description["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip


def test_model_is_one_archive_when_compressed(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    sagemaker.create_training_job(**job(OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out/"}))
    assert ended(sagemaker)["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/job-1/output/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(stored(host, "out/job-1/output/model.tar.gz"))) as archive:
        assert archive.extractfile("weights/sum.txt").read() == b"6"  # type: ignore[union-attr]


def test_script_sees_the_container_contract(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    sagemaker.create_training_job(**job(Environment={"accept_eula": "true"}))
    ended(sagemaker)
    environment = json.loads(stored(host, "out/job-1/output/model/environment.json"))
    assert json.loads(environment["SM_HPS"]) == {"epoch": "2", "mode": "plain"}
    assert environment["SM_HP_EPOCH"] == "2"
    assert json.loads(environment["SM_CHANNELS"]) == ["code", "training"]
    assert environment["TRAINING_JOB_NAME"] == "job-1"
    assert environment["accept_eula"] == "true"
    arguments = json.loads(stored(host, "out/job-1/output/model/arguments.json"))
    assert arguments == ["--epoch", "2", "--mode", "plain"]
    config = json.loads(stored(host, "out/job-1/output/model/config.json"))
    assert config["hyperparameters"]["epoch"] == '"2"'
    assert config["inputdataconfig"]["training"]["TrainingInputMode"] == "File"
    assert config["resourceconfig"]["current_instance_type"] == "ml.g5.2xlarge"


@pytest.mark.parametrize("isolated", [True, False])
def test_isolated_script_has_no_credentials(host: FakeHost, sagemaker: Any, *, isolated: bool) -> None:
    put_script(host)
    sagemaker.create_training_job(**job(EnableNetworkIsolation=isolated))
    ended(sagemaker)
    environment = json.loads(stored(host, "out/job-1/output/model/environment.json"))
    assert ("AWS_ACCESS_KEY_ID" in environment) is not isolated
    if not isolated:
        assert environment["AWS_ACCESS_KEY_ID"] == f"key-of-{ROLE}"


@pytest.mark.parametrize("isolated", [True, False])
def test_isolated_script_has_no_network(host: FakeHost, sagemaker: Any, *, isolated: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        put_script(
            host,
            f"""
            import socket
            try:
                socket.create_connection(("127.0.0.1", {port}), timeout=2)
                print("reached")
            except OSError as error:
                print("not reached")
            """,
        )
        sagemaker.create_training_job(**job(EnableNetworkIsolation=isolated))
        ended(sagemaker)
    ((_, lines),) = host.logs.items()
    if "network isolation is not possible here" in lines[0]:
        pytest.skip("this machine has no network namespaces")
    assert lines[1] == ("not reached" if isolated else "reached")


def test_gated_model_is_a_channel_once_its_eula_is_accepted(host: FakeHost, sagemaker: Any) -> None:
    put_script(
        host,
        """
        import os, pathlib
        print(pathlib.Path(os.environ["SM_CHANNEL_MODEL"], "weights").read_text())
        """,
    )
    host.client("s3").put_object(Bucket=BUCKET, Key="gated/weights", Body=b"gated weights")
    gated = {"SageMakerGatedModelS3Uri": f"s3://{BUCKET}/gated/"}
    sagemaker.create_training_job(**job("job-1", Environment={**gated, "accept_eula": "true"}))
    assert ended(sagemaker, "job-1")["TrainingJobStatus"] == "Completed"
    assert "gated weights" in next(iter(host.logs.values()))
    sagemaker.create_training_job(**job("job-2", Environment={**gated, "accept_eula": "false"}))
    assert "was not accepted" in ended(sagemaker, "job-2")["FailureReason"]


def test_permissions_are_those_of_aws(service: SageMaker, host: FakeHost, sagemaker: Any) -> None:
    put_script(host)

    def checks(operation: str, **parameters: Any) -> list[tuple[str, str, dict[str, Any]]]:
        body = json.dumps(parameters).encode()
        return service.iam(Request("POST", "/", {"x-amz-target": f"SageMaker.{operation}"}, {}, body))

    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1"
    tags = {"aws:RequestTag/run": "r1", "aws:TagKeys": ["run"]}
    (create, tagging) = checks("CreateTrainingJob", **job())
    assert create == (
        "sagemaker:CreateTrainingJob",
        arn,
        {
            **tags,
            "sagemaker:InstanceTypes": ["ml.g5.2xlarge"],
            "sagemaker:MaxRuntimeInSeconds": "60",
            "sagemaker:NetworkIsolation": "true",
            "sagemaker:InterContainerTrafficEncryption": "false",
        },
    )
    assert tagging == ("sagemaker:AddTags", arn, {"sagemaker:TaggingAction": "CreateTrainingJob", **tags})
    sagemaker.create_training_job(**job())
    resource_tags = {"aws:ResourceTag/run": "r1"}
    assert checks("StopTrainingJob", TrainingJobName="job-1") == [("sagemaker:StopTrainingJob", arn, resource_tags)]
    assert checks("ListTags", ResourceArn=arn) == [("sagemaker:ListTags", arn, resource_tags)]
    assert checks("ListTrainingJobs") == [("sagemaker:ListTrainingJobs", "*", {})]


def test_log_and_metrics_follow_the_script(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    sagemaker.create_training_job(**job())
    metrics = ended(sagemaker)["FinalMetricDataList"]
    assert [(metric["MetricName"], metric["Value"]) for metric in metrics] == [("train-loss", 0.5)]
    job_1 = {"TrainingJobName": "job-1"}
    assert host.metrics == [
        ("/aws/sagemaker/TrainingJobs", "train-loss", 1.0, job_1),
        ("/aws/sagemaker/TrainingJobs", "train-loss", 0.5, job_1),
    ]
    ((stream, lines),) = host.logs.items()
    assert stream.startswith("/aws/sagemaker/TrainingJobs:job-1/algo-1-")
    assert "image:1 is not run" in lines[0]
    assert lines[1:] == ["train_epoch_loss=1.0000", "train_epoch_loss=0.5000"]


def test_metrics_and_log_are_there_while_the_script_runs(host: FakeHost, sagemaker: Any) -> None:
    put_script(host, "import time\nprint('train_epoch_loss=0.25')\ntime.sleep(60)")
    sagemaker.create_training_job(**job())
    eventually(lambda: sagemaker.describe_training_job(TrainingJobName="job-1").get("FinalMetricDataList"))
    eventually(lambda: any("train_epoch_loss=0.25" in lines for lines in host.logs.values()))
    assert sagemaker.describe_training_job(TrainingJobName="job-1")["SecondaryStatus"] == "Training"


def test_every_change_is_announced_twice_in_the_documented_shape(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    sagemaker.create_training_job(**job())
    ended(sagemaker)
    assert [event["detail"]["SecondaryStatus"] for event in host.events] == [
        status for status in ("Starting", "Downloading", "Training", "Uploading", "Completed") for _ in range(2)
    ]
    last = host.events[-1]
    assert (last["source"], last["detail-type"]) == ("aws.sagemaker", "SageMaker Training Job State Change")
    assert last["resources"] == [last["detail"]["TrainingJobArn"]]
    assert last["detail"]["Tags"] == {"run": "r1"}
    assert last["detail"]["CreationTime"] == pytest.approx(time.time() * 1000, abs=60_000)
    assert "FailureReason" not in last["detail"]
    assert "FinalMetricDataList" not in last["detail"]


def test_failure_file_becomes_the_reason(host: FakeHost, sagemaker: Any) -> None:
    put_script(
        host,
        """
        import os, pathlib, sys
        pathlib.Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text("no rows left")
        sys.exit(3)
        """,
    )
    sagemaker.create_training_job(**job())
    description = ended(sagemaker)
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"] == "AlgorithmError: no rows left, exit code: 3"
    assert host.events[-1]["detail"]["FailureReason"] == description["FailureReason"]
    assert "ModelArtifacts" not in description


def test_traceback_becomes_the_reason_without_a_failure_file(host: FakeHost, sagemaker: Any) -> None:
    put_script(host, "raise ValueError('bad row 7')")
    sagemaker.create_training_job(**job())
    reason = ended(sagemaker)["FailureReason"]
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1")
    assert "ValueError: bad row 7" in reason


def test_job_beyond_its_runtime_is_stopped_with_what_it_has(host: FakeHost, sagemaker: Any) -> None:
    put_script(
        host,
        """
        import os, pathlib, time
        pathlib.Path(os.environ["SM_MODEL_DIR"], "partial").write_text("x")
        time.sleep(60)
        """,
    )
    sagemaker.create_training_job(**job(StoppingCondition={"MaxRuntimeInSeconds": 1}))
    description = ended(sagemaker)
    assert (description["TrainingJobStatus"], description["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert stored(host, "out/job-1/output/model/partial") == b"x"


def test_stop_terminates_then_kills(host: FakeHost, sagemaker: Any) -> None:
    put_script(
        host,
        """
        import signal, time
        signal.signal(signal.SIGTERM, lambda *_: print("terminated", flush=True))
        print("ready")
        while True: time.sleep(0.1)
        """,
    )
    sagemaker.create_training_job(**job())
    eventually(lambda: any("ready" in lines for lines in host.logs.values()))
    sagemaker.stop_training_job(TrainingJobName="job-1")
    assert sagemaker.describe_training_job(TrainingJobName="job-1")["TrainingJobStatus"] == "Stopping"
    assert ended(sagemaker)["TrainingJobStatus"] == "Stopped"
    assert "terminated" in next(iter(host.logs.values()))
    assert refused(sagemaker.stop_training_job, TrainingJobName="job-1")[0] == "ValidationException"


def test_job_in_flight_fails_when_the_engine_comes_back(host: FakeHost) -> None:
    put_script(host, "import time\nprint('ready')\ntime.sleep(60)")
    first = SageMaker()
    first.start(host)
    connect(first, "sagemaker").create_training_job(**job())
    eventually(lambda: any("ready" in lines for lines in host.logs.values()))
    first.stop()
    host.events.clear()
    second = SageMaker()
    second.start(host)
    description = connect(second, "sagemaker").describe_training_job(TrainingJobName="job-1")
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"].startswith("InternalServerError")
    assert [event["detail"]["TrainingJobStatus"] for event in host.events] == ["Failed", "Failed"]
    second.stop()


def test_script_dies_with_the_engine(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    entrypoint = Path(sys.modules["local.sagemaker.run"].__file__ or "").with_name("entrypoint.py")
    process = subprocess.Popen(
        [sys.executable, str(entrypoint), sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    child = int(process.stdout.readline())
    process.stdin.close()  # what the kernel does with the pipe when the engine is killed
    assert process.wait(10) == -signal.SIGKILL
    eventually(lambda: not _alive(child), 10)
    process.stdout.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_name_is_unique(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    sagemaker.create_training_job(**job())
    code, message = refused(sagemaker.create_training_job, **job())
    assert code == "ResourceInUse"
    assert "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1" in message


def test_quota_counts_instances_of_one_type(host: FakeHost, sagemaker: Any) -> None:
    put_script(host, "import time\ntime.sleep(60)")
    sagemaker.create_training_job(**job("job-1"))
    sagemaker.create_training_job(**job("job-2"))
    code, message = refused(sagemaker.create_training_job, **job("job-3"))
    assert code == "ResourceLimitExceeded"
    assert "'ml.g5.2xlarge for training job usage' is 2 Instances, with current utilization of 2 Instances" in message
    other = {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}
    sagemaker.create_training_job(**job("job-4", ResourceConfig=other))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"TrainingJobName": "no_underscores"}, "Member must satisfy regular expression pattern"),
        ({"TrainingJobName": "x" * 64}, "Member must have length less than or equal to 63"),
        ({"HyperParameters": {str(i): "1" for i in range(101)}}, "Member must have length less than or equal to 100"),
        ({"HyperParameters": {"a": "x" * 2501}}, "Map value must satisfy constraint"),
        ({"Environment": {"A": "x" * 513}}, "Map value must satisfy constraint"),
        ({"ResourceConfig": {"InstanceType": "ml.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}}, "enum value set"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]}, "Duplicate tag keys"),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
                "ResourceConfig": {**job()["ResourceConfig"], "KeepAlivePeriodInSeconds": 60},
            },
            "KeepAlivePeriodInSeconds is not supported",
        ),
        (
            {"ResourceConfig": {**job()["ResourceConfig"], "VolumeKmsKeyId": "key"}},
            "VolumeKmsKeyId is not supported for the instance type ml.g5.2xlarge",
        ),
        ({"VpcConfig": {"Subnets": ["subnet-0"], "SecurityGroupIds": ["sg-0"]}}, "Cannot use the VPC with the role"),
        ({"RoleArn": UNTRUSTING_ROLE}, "Could not assume role"),
        ({"InputDataConfig": [channel("training", "nothing/")]}, "No S3 objects found under S3 URL"),
    ],
)
def test_invalid_request_is_refused(host: FakeHost, sagemaker: Any, changes: dict[str, Any], part: str) -> None:
    put_script(host)
    code, message = refused(sagemaker.create_training_job, **job(**changes))
    assert code == "ValidationException"
    assert part in message
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_a_job_in_a_vpc_needs_its_role_s_permission(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    ec2 = host.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    config = {"Subnets": [subnet], "SecurityGroupIds": [group]}
    sagemaker.create_training_job(**job("job-1", VpcConfig=config))
    host.denied = {(ROLE, "CreateNetworkInterface")}
    code, message = refused(sagemaker.create_training_job, **job("job-2", VpcConfig=config))
    assert code == "ValidationException"
    assert "AccessDenied" in message


def test_a_job_starts_where_the_last_one_s_checkpoints_end(host: FakeHost, sagemaker: Any) -> None:
    put_script(
        host,
        """
        import os, pathlib
        folder = pathlib.Path(os.environ["SM_OUTPUT_DIR"]).parent / "checkpoints"
        step = folder / "step.txt"
        step.write_text(str(int(step.read_text()) + 1 if step.exists() else 1))
        (pathlib.Path(os.environ["SM_MODEL_DIR"]) / "step.txt").write_text(step.read_text())
        """,
    )
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
        "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/run"},
    }
    for name in ("job-1", "job-2"):
        sagemaker.create_training_job(**job(name, **spot))
        assert ended(sagemaker, name)["TrainingJobStatus"] == "Completed"
    kept = host.client("s3").get_object(Bucket=BUCKET, Key="out/job-2/output/model/step.txt")["Body"].read()
    assert kept == b"2"


def test_unknown_job_is_a_validation_error(sagemaker: Any) -> None:
    answer = refused(sagemaker.describe_training_job, TrainingJobName="none")
    assert answer == ("ValidationException", "Requested resource not found.")


def test_role_without_read_permission_fails_the_job(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    host.denied = {(ROLE, "HeadObject"), (ROLE, "GetObject")}
    sagemaker.create_training_job(**job())
    assert ended(sagemaker)["FailureReason"].startswith("ClientError: Data download failed:AccessDenied (403)")


def test_role_without_list_permission_is_refused_at_once(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    host.denied = {(ROLE, "ListObjectsV2")}
    code, message = refused(sagemaker.create_training_job, **job())
    assert code == "ValidationException"
    assert '"s3:ListBucket" permissions' in message


def test_role_without_write_permission_fails_the_job(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    host.denied = {(ROLE, "PutObject")}
    sagemaker.create_training_job(**job())
    assert ended(sagemaker)["FailureReason"].startswith("ClientError: Artifact upload failed:")


def test_model_channel_is_downloaded_once_but_always_authorised(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    host.client("s3").put_object(Bucket=BUCKET, Key="base/model.safetensors", Body=b"weights")
    channels = [*job()["InputDataConfig"], channel("model", "base/")]
    sagemaker.create_training_job(**job("job-1", InputDataConfig=channels))
    assert ended(sagemaker, "job-1")["TrainingJobStatus"] == "Completed"
    cached = list((host.data_dir / "sagemaker" / "artifacts").iterdir())
    assert [file.read_bytes() for file in cached] == [b"weights"]
    sagemaker.create_training_job(**job("job-2", InputDataConfig=channels))
    assert ended(sagemaker, "job-2")["TrainingJobStatus"] == "Completed"
    host.denied = {(ROLE, "HeadObject")}
    sagemaker.create_training_job(**job("job-3", InputDataConfig=[channels[-1]]))
    assert "AccessDenied" in ended(sagemaker, "job-3")["FailureReason"]


def test_jobs_are_listed_newest_first_by_page(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    for number in range(3):
        sagemaker.create_training_job(**job(f"job-{number}"))
        ended(sagemaker, f"job-{number}")
    page = sagemaker.list_training_jobs(NameContains="JOB", StatusEquals="Completed", MaxResults=2)
    assert [summary["TrainingJobName"] for summary in page["TrainingJobSummaries"]] == ["job-2", "job-1"]
    rest = sagemaker.list_training_jobs(MaxResults=2, NextToken=page["NextToken"])
    assert [summary["TrainingJobName"] for summary in rest["TrainingJobSummaries"]] == ["job-0"]
    created = sagemaker.describe_training_job(TrainingJobName="job-0")["CreationTime"]
    hour = timedelta(hours=1)
    assert sagemaker.list_training_jobs(CreationTimeAfter=created + hour)["TrainingJobSummaries"] == []
    assert len(sagemaker.list_training_jobs(CreationTimeAfter=created - hour)["TrainingJobSummaries"]) == 3
    assert sagemaker.list_training_jobs(StatusEquals="Failed")["TrainingJobSummaries"] == []


def test_tags_can_be_added_and_listed(host: FakeHost, sagemaker: Any) -> None:
    put_script(host)
    arn = sagemaker.create_training_job(**job())["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "books"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "run", "Value": "r1"},
        {"Key": "team", "Value": "books"},
    ]
