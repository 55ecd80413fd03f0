"""What no role may do, whatever the code asks for: decided by the template's own policies, and SageMaker's own keys."""

import json
import re
from typing import Any

import pytest
from ministack.core import iam_evaluator

from local.deploy import load_template
from local.engine.host import Request
from local.fold import fold
from local.sagemaker import requests
from tests.samples import ACCOUNT, DROP_BUCKET, JOB_NAME, REGION, RUN_BUCKET, RUN_ID, STACK
from tests.stack import ROOT

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
PARAMETERS = {
    "InstanceTypes": "ml.g5.*,ml.p4d.24xlarge",
    "LongestTrainingSeconds": "7200",
    "TrainingSubnets": "subnet-1,subnet-2",
    "TrainingSecurityGroups": "sg-1",
    "IsolateTraining": "true",
    "KmsKeyArn": KEY,
}
PHYSICAL = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "DropBucket.Arn": f"arn:aws:s3:::{DROP_BUCKET}",
    "RunBucket.Arn": f"arn:aws:s3:::{RUN_BUCKET}",
}
JOB = {
    "TrainingJobName": JOB_NAME,
    "ResourceConfig": {"InstanceType": "ml.g5.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
    "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    "OutputDataConfig": {"S3OutputPath": "s3://runs/", "KmsKeyId": KEY},
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "Tags": [{"Key": "tunedrop:run-id", "Value": RUN_ID}],
}


def policies(parameters: dict[str, str]) -> dict[str, list[list[iam_evaluator.ParsedStatement]]]:
    """Return every role's policies in a stack of the parameters, functions by their logical id and `Role`."""
    resources = fold(load_template(ROOT / "template.yaml"), parameters)["Resources"]
    found: dict[str, list[Any]] = {}
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::Function":
                found.setdefault(f"{name}Role", []).extend(properties["Policies"])
            case "AWS::IAM::Role":
                found.setdefault(name, []).extend(each["PolicyDocument"] for each in properties["Policies"])
            case "AWS::IAM::Policy":
                for role in properties["Roles"]:
                    found.setdefault(role["Ref"], []).append(properties["PolicyDocument"])
    return {
        role: [iam_evaluator.parse_policy_document(_named(each)) for each in each_] for role, each_ in found.items()
    }


def _named(value: Any) -> Any:
    match value:
        case {"Ref": name}:
            return PHYSICAL.get(name, f"arn:aws:any:::{name}")
        case {"Fn::GetAtt": [name, attribute]}:
            return PHYSICAL.get(f"{name}.{attribute}", f"arn:aws:any:::{name}")
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: PHYSICAL.get(found[1], found[1]), text)
        case dict():
            return {key: _named(each) for key, each in value.items()}
        case list():
            return [_named(each) for each in value]
    return value


STRICT, PLAIN = policies(PARAMETERS), policies({})


def may(
    role: str,
    action: str,
    resource: str,
    context: dict[str, Any] | None = None,
    stack: dict[str, list[list[iam_evaluator.ParsedStatement]]] = PLAIN,
) -> bool:
    asked = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        service_context={key.lower(): value for key, value in (context or {}).items()},
    )
    return bool(iam_evaluator.evaluate(asked, stack[role]).decision == "Allow")


def may_create(job: dict[str, Any], stack: dict[str, list[list[iam_evaluator.ParsedStatement]]] = STRICT) -> bool:
    """Ask with the condition keys that the local SageMaker draws from the request."""
    headers = {"x-amz-target": "SageMaker.CreateTrainingJob"}
    asked = requests.permissions(Request("POST", "/", headers, {}, json.dumps(job).encode()), REGION, ACCOUNT)
    (check,) = [each for each in asked if each[0] == "sagemaker:CreateTrainingJob"]
    return may("LaunchTrainingFunctionRole", *check, stack=stack)


def changed(section: str, value: Any) -> dict[str, Any]:
    return {**JOB, section: {**JOB[section], **value} if isinstance(value, dict) else value}  # type: ignore[dict-item]


# ---------------------------------------------------------------- what a training job may be


def test_a_job_within_the_stack_s_limits_is_allowed() -> None:
    assert may_create(JOB)
    assert may_create(changed("ResourceConfig", {"InstanceType": "ml.p4d.24xlarge"}))


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(changed("ResourceConfig", {"InstanceType": "ml.p5.48xlarge"}), id="another instance type"),
        pytest.param(changed("StoppingCondition", {"MaxRuntimeInSeconds": 7201}), id="a second too long"),
        pytest.param({**JOB, "StoppingCondition": {}}, id="no time limit"),
        pytest.param({**JOB, "VpcConfig": {}}, id="outside the VPC"),
        pytest.param(changed("VpcConfig", {"Subnets": ["subnet-1", "subnet-3"]}), id="another subnet"),
        pytest.param(changed("VpcConfig", {"SecurityGroupIds": ["sg-2"]}), id="another security group"),
        pytest.param(changed("EnableNetworkIsolation", value=False), id="with a network"),
        pytest.param(changed("EnableInterContainerTrafficEncryption", value=False), id="talking in the clear"),
        pytest.param({**JOB, "OutputDataConfig": {"S3OutputPath": "s3://runs/"}}, id="output without the key"),
        pytest.param(changed("OutputDataConfig", {"KmsKeyId": f"{KEY}2"}), id="output with another key"),
        pytest.param(changed("ResourceConfig", {"VolumeKmsKeyId": f"{KEY}2"}), id="a volume with another key"),
        pytest.param(changed("ResourceConfig", {"KeepAlivePeriodInSeconds": 60}), id="a warm pool"),
        pytest.param(changed("Tags", value=[]), id="without the run's tag"),
        pytest.param({**JOB, "TrainingJobName": "other-job"}, id="another stack's name"),
    ],
)
def test_a_job_beyond_the_stack_s_limits_is_denied(job: dict[str, Any]) -> None:
    assert not may_create(job)


def test_a_stack_that_asks_for_nothing_still_limits_time_and_warm_pools() -> None:
    plain = {key: value for key, value in JOB.items() if key not in ("VpcConfig", "EnableNetworkIsolation")}
    assert may_create({**plain, "StoppingCondition": {"MaxRuntimeInSeconds": 86400}}, PLAIN)
    assert not may_create({**plain, "StoppingCondition": {"MaxRuntimeInSeconds": 86401}}, PLAIN)
    assert not may_create(changed("ResourceConfig", {"KeepAlivePeriodInSeconds": 60}), PLAIN)


SERVERLESS = {name: value for name, value in JOB.items() if name not in ("ResourceConfig", "EnableNetworkIsolation")}


def test_a_serverless_customisation_is_allowed_within_the_same_limits_unless_the_stack_forbids_it() -> None:
    open_to_it = policies({**PARAMETERS, "IsolateTraining": "false"})
    assert may_create(SERVERLESS, open_to_it)
    assert not may_create({**SERVERLESS, "StoppingCondition": {"MaxRuntimeInSeconds": 7201}}, open_to_it)
    assert not may_create({**SERVERLESS, "VpcConfig": {}}, open_to_it)
    assert not may_create({**SERVERLESS, "OutputDataConfig": {"S3OutputPath": "s3://runs/"}}, open_to_it)
    assert not may_create({**SERVERLESS, "Tags": []}, open_to_it)
    assert not may_create(SERVERLESS, STRICT), "a job that nobody can isolate"
    assert not may_create(SERVERLESS, policies({**PARAMETERS, "ServerlessCustomisation": "false"}))


def test_only_the_launch_may_start_jobs() -> None:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{JOB_NAME}"
    context = requests._job_context(JOB) | {"aws:RequestTag/tunedrop:run-id": RUN_ID}
    allowed = {role for role in PLAIN if may(role, "sagemaker:CreateTrainingJob", arn, context)}
    assert allowed == {"LaunchTrainingFunctionRole"}


def test_who_records_an_approval_may_launch_nothing_and_no_function_may_approve() -> None:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{JOB_NAME}"
    assert may("RecordApprovalFunctionRole", "dynamodb:PutItem", "arn:aws:any:::RunsTable")
    for action, resource in (
        ("sagemaker:CreateTrainingJob", arn),
        ("dynamodb:UpdateItem", "arn:aws:any:::RunsTable"),
        ("s3:GetObject", f"arn:aws:s3:::{RUN_BUCKET}/runs/{RUN_ID}/plan.json"),
        ("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{STACK}"),
    ):
        assert not may("RecordApprovalFunctionRole", action, resource)
    approving = {role for role in PLAIN if may(role, "events:PutEvents", "arn:aws:any:::Bus")}
    assert approving == {"AnnouncementsRole"}, "the pipe's source is `tunedrop`, which approves nothing"


# ---------------------------------------------------------------- what no role may do at all


@pytest.mark.parametrize("role", sorted(PLAIN))
@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:PutObject", f"arn:aws:s3:::{DROP_BUCKET}/datasets/receipts/tune.yaml"),
        ("s3:PutObject", f"arn:aws:s3:::{DROP_BUCKET}/anything"),
        ("s3:DeleteObject", f"arn:aws:s3:::{DROP_BUCKET}/datasets/receipts/train.jsonl"),
        ("s3:DeleteObjectVersion", f"arn:aws:s3:::{DROP_BUCKET}/datasets/receipts/train.jsonl"),
        ("s3:DeleteObject", f"arn:aws:s3:::{RUN_BUCKET}/runs/{RUN_ID}/validation-report.json"),
        ("s3:PutBucketPolicy", f"arn:aws:s3:::{RUN_BUCKET}"),
        ("s3:GetObject", "arn:aws:s3:::somebody-elses/secret"),
        ("sagemaker:DeleteTrainingJob", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{JOB_NAME}"),
        ("sagemaker:StopTrainingJob", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/other-job"),
        ("dynamodb:DeleteItem", "arn:aws:any:::RunsTable"),
        ("dynamodb:DeleteTable", "arn:aws:any:::RunsTable"),
        ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/database/password"),
        ("secretsmanager:GetSecretValue", "*"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/Admin"),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/Admin"),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/Admin"),
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/another"),
        ("kms:ScheduleKeyDeletion", KEY),
        ("lambda:UpdateFunctionCode", "*"),
        ("ec2:RunInstances", "*"),
    ],
)
def test_no_role_may(role: str, action: str, resource: str) -> None:
    for stack in (PLAIN, STRICT):
        assert not may(role, action, resource, {"iam:PassedToService": "sagemaker.amazonaws.com"}, stack)


@pytest.mark.parametrize(
    ("role", "passed", "service"),
    [
        ("LaunchTrainingFunctionRole", "TrainingRole", "sagemaker.amazonaws.com"),
        ("DeployModelFunctionRole", "ImportRole", "bedrock.amazonaws.com"),
        ("EvaluateModelFunctionRole", "JudgeRole", "bedrock.amazonaws.com"),
    ],
)
def test_a_role_is_passed_by_its_one_function_to_its_one_service(role: str, passed: str, service: str) -> None:
    arn = f"arn:aws:any:::{passed}"
    allowed = {each for each in PLAIN if may(each, "iam:PassRole", arn, {"iam:PassedToService": service})}
    assert allowed == {role}
    assert not may(role, "iam:PassRole", arn, {"iam:PassedToService": "lambda.amazonaws.com"})


def test_keys_and_networks_are_within_reach_only_where_the_stack_names_them() -> None:
    assert may("TrainingRole", "kms:GenerateDataKey", KEY, stack=STRICT)
    assert may("PlanRunFunctionRole", "ec2:DescribeSubnets", "*", stack=STRICT)
    assert not any(may(role, "kms:Decrypt", KEY) for role in PLAIN)
    assert not any(may(role, "ec2:DescribeSubnets", "*") for role in PLAIN)
    for one_of_two in ("TrainingSubnets", "TrainingSecurityGroups"):
        half = policies({one_of_two: PARAMETERS[one_of_two]})
        assert may("PlanRunFunctionRole", "ec2:DescribeSecurityGroups", "*", stack=half), "to say what is missing"
    assert not may("TrainingRole", "kms:CreateGrant", KEY, {"kms:GrantIsForAWSResource": "false"}, STRICT)


def test_hubs_are_within_reach_only_where_the_stack_names_one() -> None:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:hub/PrivateHub"  # as `_named` writes it
    with_hub = policies({"PrivateHub": "ours"})
    for role, action in (
        ("PlanRunFunctionRole", "sagemaker:DescribeHubContent"),
        ("LaunchTrainingFunctionRole", "sagemaker:TrainHubModel"),
    ):
        assert may(role, action, arn, stack=with_hub)
        assert not any(may(each, action, arn) for each in PLAIN)
