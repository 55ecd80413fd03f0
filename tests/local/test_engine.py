"""The embedded AWS behaves as AWS where the application depends on it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.deploy import DeploymentError
from local.engine import Engine, Settings

TEMPLATE = Path(__file__).parent / "fixture_app" / "template.yaml"
SETTINGS = Settings(
    services={"tests.local.fixture_app.training:Training": {}}, seconds_per_minute=1, retry_backoff_seconds=0.1
)


@dataclass
class Stack:
    """The fixture application, deployed."""

    engine: Engine
    outputs: dict[str, str]
    said: list[str]

    def invoke(self, function: str, command: str, **event: Any) -> tuple[Any, bool]:
        """Call a function and wait; return its answer and whether it is an error."""
        answer = self.engine.client("lambda").invoke(
            FunctionName=self.outputs[function], Payload=json.dumps({"command": command, **event})
        )
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def drop(self, command: str) -> str:
        """Upload a file that asks for the command; return its unique name."""
        name = f"n{uuid.uuid4().hex[:12]}"
        self.engine.client("s3").put_object(Bucket=self.outputs["DropBucket"], Key=f"in/{name}.{command}", Body=b"drop")
        return name

    def dead_letters(self, seconds: float = 20) -> list[dict[str, Any]]:
        """Take what lies in the dead-letter queue, waiting for the first."""
        sqs, queue = self.engine.client("sqs"), self.outputs["DeadLetters"]
        found = sqs.receive_message(
            QueueUrl=queue, WaitTimeSeconds=int(seconds), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def record(self, name: str) -> dict[str, Any]:
        """Read a record of the table."""
        table = self.outputs["Records"]
        return self.engine.client("dynamodb").get_item(TableName=table, Key={"id": {"S": name}}).get("Item", {})

    def logged(self, function: str) -> list[str]:
        """Read everything a function has logged."""
        group = f"/aws/lambda/{self.outputs[function]}"
        pages = self.engine.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    def audited(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the events that reached the audit function and are wanted."""
        lines = [json.loads(line)["audited"] for line in self.logged("Audit") if '"audited"' in line]
        return [event for event in lines if wanted(event)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    said: list[str] = []
    with Engine(tmp_path_factory.mktemp("engine"), SETTINGS, said.append) as engine:
        yield Stack(engine, engine.deploy(TEMPLATE, {"Greeting": "hello"}, "fixture"), said)


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


class TestDeployment:
    def test_names_every_resource_that_is_left_out(self, stack: Stack) -> None:
        assert "left out, for ministack lacks it: Spending (AWS::Budgets::Budget)" in stack.said

    def test_passes_parameters(self, stack: Stack) -> None:
        note = stack.engine.client("ssm").get_parameter(Name="/fixture/note")["Parameter"]
        assert note["Value"] == "hello"

    def test_a_second_deployment_updates_and_keeps_data(self, stack: Stack) -> None:
        name = stack.drop("write")
        wait_for(lambda: stack.record(name))
        outputs = stack.engine.deploy(TEMPLATE, {"Greeting": "hi"}, "fixture")
        assert outputs == stack.outputs
        assert stack.engine.client("ssm").get_parameter(Name="/fixture/note")["Parameter"]["Value"] == "hi"
        assert stack.record(name)
        stack.engine.deploy(TEMPLATE, {"Greeting": "hello"}, "fixture")

    def test_a_failing_resource_is_named_with_its_reason(self, stack: Stack, tmp_path: Path) -> None:
        template = tmp_path / "template.yaml"
        template.write_text("Resources: {Thing: {Type: AWS::Nowhere::Thing}}")
        with pytest.raises(DeploymentError, match="AWS::Nowhere::Thing"):
            stack.engine.deploy(template, {}, "broken")


class TestLambda:
    def test_a_function_imports_its_own_layers_and_nothing_else(self, stack: Stack) -> None:
        answer, failed = stack.invoke("Probe", "surroundings")
        assert not failed
        assert answer["importable"] == ["awslambdaric", "boto3", "greeting"]
        assert answer["greeting"] == "hello from the layer"

    def test_a_function_without_layers_has_no_boto3(self, stack: Stack) -> None:
        stack.invoke("Audit", "anything")
        assert any('"boto3": false' in line for line in stack.logged("Audit"))

    def test_a_function_is_told_what_it_is(self, stack: Stack) -> None:
        variables = stack.invoke("Probe", "surroundings")[0]["variables"]
        assert variables["AWS_LAMBDA_FUNCTION_NAME"] == stack.outputs["Probe"]
        assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
        assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{stack.outputs['Probe']}"

    def test_a_warm_worker_is_used_again(self, stack: Stack) -> None:
        assert stack.invoke("Probe", "surroundings")[0]["pid"] == stack.invoke("Probe", "surroundings")[0]["pid"]

    def test_the_remaining_time_is_the_timeout_at_the_start(self, stack: Stack) -> None:
        assert 9_000 < stack.invoke("Probe", "remaining")[0] <= 10_000

    def test_an_exception_is_reported_with_its_type_and_stack_trace(self, stack: Stack) -> None:
        answer, failed = stack.invoke("Probe", "fail")
        assert failed
        assert (answer["errorType"], answer["errorMessage"]) == ("NeverGoodError", "as asked")
        assert "raise NeverGoodError" in answer["stackTrace"][-1]

    def test_the_timeout_ends_it(self, stack: Stack) -> None:
        started = time.monotonic()
        answer, failed = stack.invoke("Narrow", "sleep")
        assert failed
        assert answer["errorType"] == "Sandbox.Timedout"
        assert "Task timed out after 3.00 seconds" in answer["errorMessage"]
        assert time.monotonic() - started < 20

    def test_the_memory_limit_ends_it(self, stack: Stack) -> None:
        answer, failed = stack.invoke("Narrow", "eat")
        assert failed
        assert answer["errorType"] == "Runtime.ExitError"
        assert "signal: killed" in answer["errorMessage"]

    def test_every_invocation_ends_with_a_report_line(self, stack: Stack) -> None:
        stack.invoke("Probe", "remaining")
        report = [line for line in stack.logged("Probe") if line.startswith("REPORT RequestId: ")][-1]
        assert "Memory Size: 256 MB" in report
        assert "Max Memory Used: " in report

    def test_a_reserved_concurrency_throttles_a_synchronous_call(self, stack: Stack) -> None:
        environment = stack.engine.environment()
        client = boto3.client(
            "lambda",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        name = stack.outputs["Narrow"]
        client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"command": "sleep", "seconds": 2.5}')
        time.sleep(0.5)
        with pytest.raises(client.exceptions.TooManyRequestsException):
            client.invoke(FunctionName=name, Payload=b'{"command": "remaining"}')


class TestAsynchronousInvocation:
    def test_a_failure_is_retried_with_its_request_id_and_ends_in_the_destination(self, stack: Stack) -> None:
        stack.drop("fail")
        [letter] = stack.dead_letters()
        body = json.loads(letter["Body"])
        request_id = body["requestContext"]["requestId"]
        assert body["requestContext"]["condition"] == "RetriesExhausted"
        assert body["requestContext"]["approximateInvokeCount"] == 2
        assert body["responsePayload"]["errorType"] == "NeverGoodError"
        assert body["requestPayload"]["detail"]["object"]["key"].endswith(".fail")
        assert stack.logged("Probe").count(f"about to fail {request_id}") == 2

    def test_throttles_wait_and_use_up_no_retry(self, stack: Stack) -> None:
        client = stack.engine.client("lambda")
        stack.engine.settle()
        before = len([line for line in stack.logged("Narrow") if line.startswith("END")])
        for _ in range(4):
            client.invoke(
                FunctionName=stack.outputs["Narrow"],
                InvocationType="Event",
                Payload=b'{"command": "sleep", "seconds": 0.3}',
            )
        stack.engine.settle()
        assert len([line for line in stack.logged("Narrow") if line.startswith("END")]) == before + 4

    def test_a_killed_worker_is_replaced_and_the_event_delivered_again(self, stack: Stack) -> None:
        client = stack.engine.client("lambda")
        name = stack.outputs["Probe"]
        payload = b'{"command": "sleep", "seconds": 3, "mark": "killed once"}'
        stack.engine.settle()
        before = stack.logged("Probe")
        client.invoke(FunctionName=name, InvocationType="Event", Payload=payload)
        time.sleep(1.5)
        assert stack.engine.kill_worker(name) >= 1
        stack.engine.settle()
        reports = [line for line in stack.logged("Probe")[len(before) :] if line.startswith("REPORT")]
        assert ["Status: error" in line for line in reports] == [True, False]
        assert stack.dead_letters(0) == []

    def test_events_can_be_delivered_several_times(self, stack: Stack) -> None:
        stack.engine.deliver(3)
        try:
            name = stack.drop("write")
            wait_for(lambda: stack.record(name).get("times") == {"N": "3"})
        finally:
            stack.engine.deliver(1)
        stack.engine.settle()
        assert stack.record(name)["times"] == {"N": "3"}


class TestEvents:
    def test_a_change_of_the_table_reaches_the_bus_as_the_template_words_it(self, stack: Stack) -> None:
        name = stack.drop("write")
        [event] = wait_for(lambda: stack.audited(lambda event: event.get("detail", {}).get("id") == name))
        assert (event["source"], event["detail-type"]) == ("fixture", "Record Changed")
        assert event["detail"] == {"id": name, "text": 'now WRITTEN "twice"', "before": ""}

    def test_an_upload_is_announced_with_its_version(self, stack: Stack) -> None:
        events, sqs = stack.engine.client("events"), stack.engine.client("sqs")
        url = sqs.create_queue(QueueName="uploads")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="uploads", EventPattern='{"source": ["aws.s3"], "detail-type": ["Object Created"]}')
        events.put_targets(Rule="uploads", Targets=[{"Id": "1", "Arn": arn}])
        bucket = stack.outputs["DropBucket"]
        put = stack.engine.client("s3").put_object(Bucket=bucket, Key="elsewhere/x y+z.txt", Body=b"12345")
        [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
        events.remove_targets(Rule="uploads", Ids=["1"])
        announced = json.loads(message["Body"])["detail"]["object"]
        assert announced["version-id"] == put["VersionId"]
        assert (announced["key"], announced["size"]) == ("elsewhere/x y+z.txt", 5)

    def test_a_range_of_a_version_is_read(self, stack: Stack) -> None:
        s3, bucket = stack.engine.client("s3"), "versioned-ranges"
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        old, _ = (s3.put_object(Bucket=bucket, Key="x", Body=body)["VersionId"] for body in (b"0123456789", b"new"))
        answer = s3.get_object(Bucket=bucket, Key="x", VersionId=old, Range="bytes=4-6")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert (answer["Body"].read(), answer["ContentRange"]) == (b"456", "bytes 4-6/10")
        with pytest.raises(ClientError, match="InvalidRange"):
            s3.get_object(Bucket=bucket, Key="x", VersionId=old, Range="bytes=10-")

    def test_a_record_that_the_pipe_filters_out_moves_nothing(self, stack: Stack) -> None:
        table = stack.outputs["Records"]
        stack.engine.client("dynamodb").put_item(
            TableName=table, Item={"id": {"S": "quiet"}, "kind": {"S": "claim"}, "status": {"S": "held"}}
        )
        name = stack.drop("write")
        wait_for(lambda: stack.audited(lambda event: event.get("detail", {}).get("id") == name))
        assert stack.audited(lambda event: event.get("detail", {}).get("id") == "quiet") == []

    def test_a_target_that_is_gone_sends_the_event_to_the_rules_dead_letter_queue(self, stack: Stack) -> None:
        events, sqs = stack.engine.client("events"), stack.engine.client("sqs")
        queue = stack.outputs["DeadLetters"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="lost", EventPattern='{"source": ["nobody"]}')
        gone = arn.rsplit(":", 1)[0] + ":gone"
        target = {"Id": "1", "Arn": gone, "DeadLetterConfig": {"Arn": arn}, "RetryPolicy": {"MaximumRetryAttempts": 1}}
        events.put_targets(Rule="lost", Targets=[target])
        events.put_events(Entries=[{"Source": "nobody", "DetailType": "Any", "Detail": '{"a": 1}'}])
        [letter] = stack.dead_letters()
        attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
        assert json.loads(letter["Body"])["detail"] == {"a": 1}
        assert attributes["TARGET_ARN"] == gone
        assert attributes["RULE_ARN"].endswith(":rule/lost")
        assert attributes["ERROR_CODE"] == "RESOURCE_NOT_FOUND"

    def test_a_schedule_fires_every_minute_of_the_engines_clock(self, stack: Stack) -> None:
        logs = stack.engine.client("logs")
        wait_for(lambda: stack.outputs["Audit"] in str(logs.describe_log_groups()["logGroups"]), 60)

        def fired() -> int:
            return len(stack.audited(lambda event: event.get("tick")))

        # Four minutes of its clock are seconds of ours.
        wait_for(lambda: fired() >= 4, 60)

    def test_only_services_may_send_events_of_aws(self, stack: Stack) -> None:
        answer = stack.engine.client("events").put_events(
            Entries=[{"Source": "aws.sagemaker", "DetailType": "Forged", "Detail": "{}"}]
        )
        assert answer["FailedEntryCount"] == 1


class TestIam:
    def test_what_a_role_may_not_do_is_denied_recorded_and_not_lost(self, stack: Stack) -> None:
        name = stack.drop("delete")
        [letter] = stack.dead_letters()
        assert json.loads(letter["Body"])["responsePayload"]["errorType"] == "AccessDenied"
        denied = [choice for choice in stack.engine.decisions() if not choice.allowed and name in choice.resource]
        assert {(choice.action, choice.role) for choice in denied} == {
            ("s3:DeleteObject", stack_role(stack, "Probe")),
        }

    def test_a_bucket_that_asks_for_tls_can_be_read(self, stack: Stack) -> None:
        name = stack.drop("read")
        detail = {"bucket": {"name": stack.outputs["DropBucket"]}, "object": {"key": f"in/{name}.read"}}
        assert stack.invoke("Probe", "read", detail=detail) == ("drop", False)

    def test_a_transaction_needs_the_actions_of_its_items(self, stack: Stack) -> None:
        answer, failed = stack.invoke("Probe", "transact")
        assert failed
        assert "dynamodb:PutItem" in answer["errorMessage"]

    def test_a_role_may_be_passed_only_where_the_policy_says(self, stack: Stack) -> None:
        allowed = stack.invoke("Probe", "train", name="mine-1", role=stack.outputs["TrainingRole"])
        assert allowed == (None, False)
        answer, failed = stack.invoke("Probe", "train", name="mine-2", role=stack.outputs["OtherRole"])
        assert failed
        assert "AccessDeniedException" in answer["errorMessage"]
        assert "iam:PassRole" in answer["errorMessage"]

    def test_a_role_that_does_not_trust_the_service_is_refused(self, stack: Stack) -> None:
        answer, failed = stack.invoke("Probe", "train", name="mine-3", role=stack.outputs["PipeRole"])
        assert failed
        assert "ValidationException" in answer["errorMessage"]
        assert "sagemaker.amazonaws.com" in answer["errorMessage"]

    def test_a_services_own_checks_are_enforced(self, stack: Stack) -> None:
        answer, failed = stack.invoke("Probe", "train", name="other-1", role=stack.outputs["TrainingRole"])
        assert failed
        assert "sagemaker:CreateTrainingJob" in answer["errorMessage"]

    def test_a_wrong_secret_and_an_unknown_key_are_refused(self, stack: Stack) -> None:
        iam = stack.engine.client("iam")
        iam.create_user(UserName="someone")
        key = iam.create_access_key(UserName="someone")["AccessKey"]["AccessKeyId"]
        for access_key, error in ((key, "InvalidSignatureException"), ("AKIAUNKNOWN000000000", "UnrecognizedClient")):
            client = boto3.client(
                "sagemaker",
                endpoint_url=stack.engine.endpoint_url,
                region_name="us-east-1",
                aws_access_key_id=access_key,
                aws_secret_access_key="wrong",
            )
            with pytest.raises(ClientError, match=error):
                client.describe_training_job(TrainingJobName="mine-1")


class TestPluggedInService:
    def test_it_knows_its_caller_writes_logs_and_metrics_and_sends_events(self, stack: Stack) -> None:
        stack.invoke("Probe", "train", name="mine-4", role=stack.outputs["TrainingRole"])
        job = stack.engine.client("sagemaker").describe_training_job(TrainingJobName="mine-4")
        assert job["RoleArn"].endswith(stack_role(stack, "Probe"))
        logs = stack.engine.client("logs").get_log_events(logGroupName="/fixture/training", logStreamName="mine-4")
        assert [event["message"] for event in logs["events"]] == ["epoch 1", "epoch 2"]
        metrics = stack.engine.client("cloudwatch").list_metrics(Namespace="Fixture")["Metrics"]
        assert {"Name": "job", "Value": "mine-4"} in [metric["Dimensions"][0] for metric in metrics]
        found = wait_for(
            lambda: stack.audited(lambda event: event.get("detail", {}).get("TrainingJobName") == "mine-4")
        )
        assert found[0]["source"] == "aws.sagemaker"

    def test_a_log_is_searched_by_the_beginning_of_its_streams_names(self, stack: Stack) -> None:
        logs, group = stack.engine.client("logs"), "/fixture/streams"
        logs.create_log_group(logGroupName=group)
        for stream in ("mine-1/a", "mine-10/a"):
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            event = {"timestamp": int(time.time() * 1000), "message": f"of {stream}"}
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

        def found(**streams: str) -> list[str]:
            return [event["message"] for event in logs.filter_log_events(logGroupName=group, **streams)["events"]]

        assert found(logStreamNamePrefix="mine-1/") == ["of mine-1/a"]
        assert found(logStreamNamePrefix="mine-2/") == []
        assert found() == ["of mine-1/a", "of mine-10/a"]

    def test_a_log_is_searched_page_by_page(self, stack: Stack) -> None:
        logs, group = stack.engine.client("logs"), "/fixture/pages"
        logs.create_log_group(logGroupName=group)
        now = int(time.time() * 1000)
        for stream in ("a", "b"):
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            # Two of each stream's have the same time.
            lines = [{"timestamp": now + number // 2, "message": f"{stream}{number}"} for number in range(7)]
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)

        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 3})
        found = [[event["message"] for event in page["events"]] for page in pages]

        wanted = {f"{stream}{number}" for stream in "ab" for number in range(7)}
        assert {each for page in found for each in page} == wanted
        assert sum(map(len, found)) == len(wanted)
        assert max(map(len, found)) == 3
        assert len(logs.filter_log_events(logGroupName=group)["events"]) == 14

    def test_its_errors_have_their_code_and_message(self, stack: Stack) -> None:
        with pytest.raises(ClientError, match=r"Requested resource not found\.") as raised:
            stack.engine.client("sagemaker").describe_training_job(TrainingJobName="never")
        assert raised.value.response["Error"]["Code"] == "ValidationException"


def stack_role(stack: Stack, function: str) -> str:
    """Return the name of a function's role."""
    configuration = stack.engine.client("lambda").get_function_configuration(FunctionName=stack.outputs[function])
    return str(configuration["Role"]).rsplit("/", 1)[-1]
