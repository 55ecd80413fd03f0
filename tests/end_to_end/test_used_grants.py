"""Least privilege, both ways: nothing that the runs needed was denied, and nothing is granted that no run needed.

Reads the record of the other end-to-end tests of the session, which therefore come first. Taking an action out of a
policy makes those tests fail, for the call is then denied; adding one that nothing uses makes this one fail.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.application import TEMPLATE
from local.deploy import load_template
from tests.deployed import Application

OTHERS = (
    "test_approval.py",
    "test_canary.py",
    "test_hosting.py",
    "test_large_dataset.py",
    "test_promotion.py",
    "test_rejections.py",
    "test_reliability.py",
    "test_rollback.py",
    "test_shortages.py",
)

UNSEEN_HERE = {
    ("DeployModelFunctionRole", "bedrock:ListImportedModels"): "the account here has room for the models of all tests",
    ("JudgeRole", "bedrock:InvokeModel"): "the local judge counts words, and calls no model",
    ("JudgeRole", "s3:AbortMultipartUpload"): "the local judge writes small files",
    ("JudgeRole", "s3:GetBucketLocation"): "Bedrock asks for it, as its documentation says",
    ("JudgeRole", "s3:ListBucketMultipartUploads"): "the local judge writes small files",
    ("MergeScansFunctionRole", "s3:ListBucket"): "without it S3 answers 403, not 404, where an object is missing",
    ("AskRangeFunctionRole", "s3:ListBucket"): "without it S3 answers 403, not 404, where an object is missing",
    ("EvaluationWorkflowRole", "states:DescribeExecution"): "the embedded AWS looks at the children by itself",
    ("EvaluationWorkflowRole", "states:StopExecution"): "the embedded AWS stops the children by itself",
    ("ValidateDatasetFunctionRole", "s3:ListBucketVersions"): "no local model looks at pictures",
    ("ValidationWorkflowRole", "states:DescribeExecution"): "the embedded AWS looks at the children by itself",
    ("ValidationWorkflowRole", "states:StopExecution"): "the embedded AWS stops the children by itself",
    ("TrackExperimentFunctionRole", "s3:ListBucket"): "without it S3 answers 403, not 404, where an object is missing",
    ("WriteReportFunctionRole", "s3:ListBucket"): "without it S3 answers 403, not 404, where an object is missing",
    ("AnnouncementsRole", "sqs:SendMessage"): "only when a record can never be delivered",
    ("ReconcileRunsFunctionRole", "bedrock:StopEvaluationJob"): "only where a run waits for its judge no more",
    ("ReconcileRunsFunctionRole", "sagemaker:DeleteEndpoint"): "only where a worker that died left an endpoint",
    ("ReconcileRunsFunctionRole", "sagemaker:DeleteEndpointConfig"): "only where a worker that died left an endpoint",
    ("ReconcileRunsFunctionRole", "sagemaker:DeleteModel"): "only where a worker that died left an endpoint",
    (
        "ReconcileRunsFunctionRole",
        "sagemaker:DeleteInferenceComponent",
    ): "only where a worker that died left an endpoint",
    ("ReconcileRunsFunctionRole", "sagemaker:DescribeEndpoint"): "only where a worker that died left an endpoint",
    ("ReconcileRunsFunctionRole", "sagemaker:DescribeEndpointConfig"): "only where a worker that died left an endpoint",
    (
        "ReconcileRunsFunctionRole",
        "sagemaker:DescribeInferenceComponent",
    ): "only where a worker that died left an endpoint",
    ("ReconcileRunsFunctionRole", "sagemaker:DescribeModel"): "only where a worker that died left an endpoint",
    (
        "ReconcileRunsFunctionRole",
        "application-autoscaling:DescribeScalingPolicies",
    ): "only where a worker that died left an endpoint",
    (
        "ReconcileRunsFunctionRole",
        "application-autoscaling:DeleteScalingPolicy",
    ): "only where a worker that died left an endpoint",
    (
        "ReconcileRunsFunctionRole",
        "application-autoscaling:DeregisterScalableTarget",
    ): "only where a worker that died left an endpoint",
    ("ReconcileRunsFunctionRole", "cloudwatch:DeleteAlarms"): "only where a worker that died left an endpoint",
    ("AskRangeFunctionRole", "sagemaker:InvokeEndpoint"): "only for a large dataset on an endpoint",
    ("HostingRole", "cloudwatch:PutMetricData"): "the local SageMaker keeps the metrics of endpoints itself",
    ("HostingRole", "ecr:BatchCheckLayerAvailability"): "no image is pulled here",
    ("HostingRole", "ecr:BatchGetImage"): "no image is pulled here",
    ("HostingRole", "ecr:GetAuthorizationToken"): "no image is pulled here",
    ("HostingRole", "ecr:GetDownloadUrlForLayer"): "no image is pulled here",
    ("HostingRole", "logs:CreateLogGroup"): "the local SageMaker keeps no log of endpoints",
    ("HostingRole", "logs:CreateLogStream"): "the local SageMaker keeps no log of endpoints",
    ("HostingRole", "logs:DescribeLogStreams"): "the local SageMaker keeps no log of endpoints",
    ("HostingRole", "logs:PutLogEvents"): "the local SageMaker keeps no log of endpoints",
    ("TrainingRole", "cloudwatch:PutMetricData"): "the local SageMaker keeps the job's metrics itself",
    ("TrainingRole", "ecr:BatchCheckLayerAvailability"): "no image is pulled here",
    ("TrainingRole", "ecr:BatchGetImage"): "no image is pulled here",
    ("TrainingRole", "ecr:GetAuthorizationToken"): "no image is pulled here",
    ("TrainingRole", "ecr:GetDownloadUrlForLayer"): "no image is pulled here",
    ("TrainingRole", "logs:CreateLogGroup"): "the local SageMaker writes the job's log itself",
    ("TrainingRole", "logs:CreateLogStream"): "the local SageMaker writes the job's log itself",
    ("TrainingRole", "logs:DescribeLogStreams"): "the local SageMaker writes the job's log itself",
    ("TrainingRole", "logs:PutLogEvents"): "the local SageMaker writes the job's log itself",
}


def granted() -> Iterator[tuple[str, str]]:
    """Yield (role's logical id, action) for every grant that template.yaml writes out.

    Left out are the policies (`AWS::IAM::Policy`) of stacks with a VPC, a key or a hub, which this one has not:
    `tests/template/test_must_deny.py` says what they allow.
    """
    for name, resource in load_template(TEMPLATE)["Resources"].items():
        properties: dict[str, Any] = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            role, documents = f"{name}Role", properties["Policies"]
        elif resource["Type"] == "AWS::IAM::Role":
            role, documents = name, [policy["PolicyDocument"] for policy in properties["Policies"]]
        else:
            continue
        for document in documents:
            for statement in document["Statement"]:
                actions = statement["Action"]
                yield from ((role, action) for action in ([actions] if isinstance(actions, str) else actions))


def test_what_is_granted_is_what_is_used(application: Application, request: pytest.FixtureRequest) -> None:
    ran = {Path(item.fspath).name for item in request.session.items}
    if not ran.issuperset(OTHERS):
        pytest.skip(f"reads what {', '.join(OTHERS)} leave behind")
    application.engine.settle(120)
    decisions = application.engine.decisions()
    roles = {role for role, _ in granted()}

    denied = {(each.role, each.action, each.resource) for each in decisions if not each.allowed}
    used = {(role, each.action) for each in decisions if each.allowed for role in roles if is_role(each.role, role)}

    assert denied == set()
    assert set(granted()) - used == set(UNSEEN_HERE)


def is_role(deployed: str, logical_id: str) -> bool:
    return deployed.startswith(f"tunedrop-{logical_id}-")
