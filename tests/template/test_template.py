"""What the template promises of every function, rule, role and bucket."""

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from local.fold import fold
from tests.stack import FUNCTIONS, RESOURCES, ROOT, TEMPLATE
from tunedrop.bootstrap import CALLS, CONVERSATION
from tunedrop.domain.decide import IDLE, LONGEST_WAIT, NOTICE_LEASE
from tunedrop.domain.run import RunStatus
from tunedrop.errors import ModelNotReadyError
from tunedrop.settings import Settings
from tunedrop.steps.ask_rows import RESERVE_SECONDS
from tunedrop.steps.executions import EXECUTIONS

GLOBALS: dict[str, Any] = TEMPLATE["Globals"]["Function"]

ANY_RESOURCE = {
    ("TrainingRole", "cloudwatch:PutMetricData"): "knows no resources; the namespace is a condition",
    ("TrainingRole", "ecr:GetAuthorizationToken"): "knows no resources",
    ("HostingRole", "cloudwatch:PutMetricData"): "knows no resources; the namespace is a condition",
    ("HostingRole", "ecr:GetAuthorizationToken"): "knows no resources",
    ("deploy_model", "application-autoscaling:DescribeScalingPolicies"): "knows no resources",
    ("deploy_model", "bedrock:CreateModelImportJob"): "knows no resources; a run's tag is a condition",
    ("deploy_model", "bedrock:ListImportedModels"): "knows no resources",
    ("deploy_model", "bedrock:ListModelImportJobs"): "knows no resources",
    ("evaluate_model", "bedrock:CreateEvaluationJob"): "knows models only, none of ours; a run's tag is a condition",
    ("evaluate_model", "bedrock:ListEvaluationJobs"): "knows no resources",
    ("plan_run", "bedrock:ListImportedModels"): "knows no resources",
    ("plan_run", "bedrock:ListModelImportJobs"): "knows no resources",
    ("plan_run", "pricing:GetProducts"): "knows no resources",
    ("plan_run", "servicequotas:GetServiceQuota"): "knows no resources",
    ("plan_run", "servicequotas:ListServiceQuotas"): "knows no resources",
    ("reconcile_runs", "bedrock:ListEvaluationJobs"): "knows no resources",
    ("reconcile_runs", "bedrock:ListImportedModels"): "knows no resources",
    ("reconcile_runs", "application-autoscaling:DescribeScalingPolicies"): "knows no resources",
    ("reconcile_runs", "cloudwatch:GetMetricStatistics"): "knows no resources",
    ("reconcile_runs", "sagemaker:ListModels"): "knows no resources",
    ("reconcile_runs", "sagemaker:ListTrainingJobs"): "knows no resources",
}
"""Every permission on all resources, and why AWS leaves no other choice."""

S3_READS = {
    *("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"),
    *("s3:GetBucketLocation", "s3:ListBucketMultipartUploads"),
}

ENVIRONMENT_OF_LIBRARIES = {
    "AWS_JUMPSTART_CONTENT_BUCKET_OVERRIDE",
    "AWS_JUMPSTART_GATED_CONTENT_BUCKET_OVERRIDE",
    "POWERTOOLS_LOG_LEVEL",
    "POWERTOOLS_SERVICE_NAME",
}

NEEDED_BY_ADAPTER = {
    "aliases": set(),
    "conversation": set(),
    "drops": {"DROP_BUCKET"},
    "experiments": {"MLFLOW_SERVER_ARN"},
    "evaluations": {"EVALUATION_WORKFLOW_ARN"},
    "endpoints": set(),
    "files": {"RUN_BUCKET"},
    "hub": set(),
    "imports": set(),
    "judges": set(),
    "quotas": set(),
    "training_log": set(),
    "jobs": set(),
    "keys": set(),
    "models": set(),
    "network": set(),
    "notifier": {"TOPIC_ARN"},
    "prices": set(),
    "runs": {"RUNS_TABLE"},
    "workflows": {"VALIDATION_WORKFLOW_ARN"},
}


class Grant(NamedTuple):
    """One action that a role is allowed."""

    role: str
    action: str
    resources: list[Any]
    condition: dict[str, Any]


def grants() -> Iterator[Grant]:
    for function, properties in FUNCTIONS.items():
        for policy in properties["Policies"]:
            yield from _granted(function, policy)
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                yield from _granted(name, policy["PolicyDocument"])


def _granted(role: str, policy: dict[str, Any]) -> Iterator[Grant]:
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"]
        for action in _list(statement["Action"]):
            yield Grant(role, action, _list(resources), statement.get("Condition", {}))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statements(policy: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]
    return statements


def _of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in RESOURCES.items() if each["Type"] == kind}


def _timeout(function: str) -> int:
    return int(FUNCTIONS[function].get("Timeout", GLOBALS["Timeout"]))


# ---------------------------------------------------------------- functions


def test_every_folder_of_functions_is_deployed() -> None:
    assert set(FUNCTIONS) == {folder.name for folder in (ROOT / "functions").iterdir()}


def test_a_failure_is_tried_again_twice_and_then_kept() -> None:
    config = GLOBALS["EventInvokeConfig"]
    assert config["MaximumRetryAttempts"] == 2
    assert config["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]},
    }
    assert not [function for function, properties in FUNCTIONS.items() if "EventInvokeConfig" in properties]


def test_every_function_is_traced_and_logs_into_a_group_that_forgets() -> None:
    assert GLOBALS["Tracing"] == "Active"
    assert GLOBALS["LoggingConfig"] == {"LogGroup": {"Ref": "FunctionLogs"}}
    assert RESOURCES["FunctionLogs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    for properties in FUNCTIONS.values():
        assert not {"Tracing", "LoggingConfig"} & set(properties)


def test_functions_carry_the_libraries_of_their_own_work_and_no_others() -> None:
    assert GLOBALS["Layers"] == [{"Ref": "CoreLayer"}, {"Ref": "DepsLayer"}]
    own = {function: properties["Layers"] for function, properties in FUNCTIONS.items() if "Layers" in properties}
    validation = [{"Ref": "ValidationLayer"}]
    assert own == {
        "plan_run": [{"Ref": "SageMakerLayer"}],
        "validate_dataset": validation,
        "scan_range": validation,
        "merge_scans": validation,
        "evaluate_model": [{"Ref": "EvaluationLayer"}],
        "ask_range": [{"Ref": "EvaluationLayer"}],
    }


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_outlives_one_slow_call_and_ends_before_its_run_counts_as_idle(function: str) -> None:
    assert CALLS.connect_timeout + CALLS.read_timeout < _timeout(function)
    assert _timeout(function) < IDLE.total_seconds()


def test_a_notice_s_lease_is_longer_than_its_sender_may_live() -> None:
    assert _timeout("notify") < NOTICE_LEASE.total_seconds()


def test_an_evaluation_ends_its_last_rows_within_its_time() -> None:
    for function in ("evaluate_model", "ask_range"):
        assert CONVERSATION.read_timeout <= RESERVE_SECONDS < _timeout(function)


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_is_given_the_settings_that_it_uses_and_no_others(function: str) -> None:
    aliases = {name: field.alias for name, field in Settings.model_fields.items()}
    used, adapters = _uses(function)
    needed = {str(aliases[name]) for name in used}.union(*(NEEDED_BY_ADAPTER[name] for name in adapters))
    given = set(FUNCTIONS[function].get("Environment", {}).get("Variables", {}))
    if function == "deploy_model":
        needed |= {"IMPORT_ROLE_ARN", "HOSTING_ROLE_ARN"}  # the one function that starts imports and endpoints
    if function == "evaluate_model":
        needed.add("JUDGE_ROLE_ARN")  # the one function that starts evaluation jobs
    if function == "launch_training":
        needed.add("MONTHLY_CAP_USD")  # the one function that reserves
    everybody = set(GLOBALS["Environment"]["Variables"]) | {"AWS_REGION"}
    assert needed <= given | everybody
    assert given - ENVIRONMENT_OF_LIBRARIES <= needed


def _uses(function: str) -> tuple[set[str], set[str]]:
    """Return the settings and the adapters that the handler takes from its application."""
    sources = [(ROOT / "functions" / function / "app.py").read_text()]
    if "tunedrop.steps.plan_rules" in sources[0]:
        sources.append((ROOT / "layers/core/tunedrop/steps/plan_rules.py").read_text())
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    attributes = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
    settings = {found[1] for each in attributes if (found := re.fullmatch(r"(?:application\.)?settings\.(\w+)", each))}
    adapters = {found[1] for each in attributes if (found := re.fullmatch(r"application\.(\w+)", each))}
    return settings, adapters - {"settings", "clock", "advance", "from_environment"}


# ---------------------------------------------------------------- rules


def test_every_rule_tries_for_a_while_and_keeps_what_it_could_not_deliver() -> None:
    events = [event for properties in FUNCTIONS.values() for event in properties.get("Events", {}).values()]
    assert {event["Type"] for event in events} == {"EventBridgeRule", "Schedule"}
    for event in events:
        assert event["Properties"]["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}
        assert event["Properties"]["RetryPolicy"].keys() == {"MaximumRetryAttempts", "MaximumEventAgeInSeconds"}
        if event["Type"] == "EventBridgeRule":
            assert event["Properties"]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86400


def test_rules_name_statuses_that_exist() -> None:
    events = [event for properties in FUNCTIONS.values() for event in properties.get("Events", {}).values()]
    patterns = [event["Properties"].get("Pattern", {}) for event in events]
    ours = [pattern["detail"] for pattern in patterns if pattern.get("source") == ["tunedrop"]]
    named = {status for detail in ours for status in detail["status"]}
    assert named == set(RunStatus)


def test_the_pipe_keeps_what_it_could_not_announce() -> None:
    stream = RESOURCES["Announcements"]["Properties"]["SourceParameters"]["DynamoDBStreamParameters"]
    assert stream["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}
    assert stream["StartingPosition"] == "TRIM_HORIZON"


def test_somebody_is_told_of_a_dead_letter() -> None:
    alarm = RESOURCES["DeadLetterAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]}}]
    assert alarm["AlarmActions"] == [{"Ref": "Notifications"}]


def test_eventbridge_may_fill_the_dead_letter_queue() -> None:
    statement = next(each for each in _statements("DeadLetterQueuePolicy") if each["Effect"] == "Allow")
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


# ---------------------------------------------------------------- the workflows of what one function is too small for

WORKFLOWS = {
    "ValidationWorkflow": ("validate_dataset", "ValidationWorkflowRole"),
    "EvaluationWorkflow": ("evaluate_model", "EvaluationWorkflowRole"),
}
"""Each workflow, who starts it, and its role."""


def _definition(workflow: str) -> str:
    return (ROOT / RESOURCES[workflow]["Properties"]["DefinitionUri"]).read_text()


def _states(workflow: str) -> dict[str, Any]:
    return dict(yaml.safe_load(_definition(workflow))["States"])


def _map(workflow: str) -> dict[str, Any]:
    [state] = [state for state in _states(workflow).values() if state["Type"] == "Map"]
    return dict(state)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_s_name_is_the_one_that_its_role_and_its_caller_may_use(workflow: str) -> None:
    caller, role = WORKFLOWS[workflow]
    name = RESOURCES[workflow]["Properties"]["Name"]["Fn::Sub"]
    granted = {(grant.role, grant.action): grant.resources for grant in grants() if grant.action.startswith("states:")}
    assert granted[caller, "states:StartExecution"] == [{"Ref": workflow}]
    for each in (caller, role):
        (executions,) = granted[each, "states:DescribeExecution"]
        assert executions["Fn::Sub"].endswith(f":execution:{name}:*")
    (itself,) = granted[role, "states:StartExecution"]
    assert itself["Fn::Sub"].endswith(f":stateMachine:{name}")


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_a_workflow_substitutes_is_given_and_nothing_else(workflow: str) -> None:
    given = set(RESOURCES[workflow]["Properties"]["DefinitionSubstitutions"])
    assert set(re.findall(r"\$\{(\w+)\}", _definition(workflow))) == given


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_tolerates_no_failed_range_and_ends_before_its_run_gives_up(workflow: str) -> None:
    state = _map(workflow)
    assert state["ToleratedFailurePercentage"] == 0
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert EXECUTIONS * yaml.safe_load(_definition(workflow))["TimeoutSeconds"] < LONGEST_WAIT.total_seconds()


def test_the_scans_of_all_ranges_are_merged() -> None:
    assert _map("ValidationWorkflow")["Next"] == "Merge"


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_task_of_a_workflow_is_tried_again_after_what_passes_and_nothing_else(workflow: str) -> None:
    inner = _map(workflow)["ItemProcessor"]["States"].values()
    tasks = [state for state in (*_states(workflow).values(), *inner) if state["Type"] == "Task"]
    passing = [{error for retry in task["Retry"] for error in retry["ErrorEquals"]} for task in tasks]
    died = {"Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"}
    assert all({"TransientError", "Lambda.TooManyRequestsException", *died} <= each for each in passing)
    assert not any("States.ALL" in each for each in passing)


def test_models_that_warm_up_are_asked_again_for_a_quarter_of_an_hour() -> None:
    retry = _map("EvaluationWorkflow")["ItemProcessor"]["States"]["Range"]["Retry"]
    [cold] = [each for each in retry if ModelNotReadyError.__name__ in each["ErrorEquals"]]
    pauses = [
        min(cold["IntervalSeconds"] * cold["BackoffRate"] ** n, cold["MaxDelaySeconds"])
        for n in range(cold["MaxAttempts"])
    ]
    assert sum(pauses) > 900


# ---------------------------------------------------------------- permissions


def test_no_permission_has_a_wildcard_for_its_action() -> None:
    assert [grant for grant in grants() if "*" in grant.action] == []


def test_permissions_on_all_resources_are_those_that_know_no_resources() -> None:
    assert {(grant.role, grant.action) for grant in grants() if "*" in grant.resources} == set(ANY_RESOURCE)


def test_a_role_is_passed_to_one_service_only() -> None:
    passed = [(grant.role, grant.resources, grant.condition) for grant in grants() if grant.action == "iam:PassRole"]
    assert passed == [
        (
            function,
            [{"Fn::GetAtt": [role, "Arn"]}],
            {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
        )
        for function, role, service in (
            ("launch_training", "TrainingRole", "sagemaker"),
            ("deploy_model", "ImportRole", "bedrock"),
            ("deploy_model", "HostingRole", "sagemaker"),
            ("evaluate_model", "JudgeRole", "bedrock"),
        )
    ]


def test_nothing_that_runs_here_can_start_a_run_by_writing_a_drop() -> None:
    writes = [grant for grant in grants() if grant.action.startswith("s3:") and grant.action not in S3_READS]
    assert {grant.role for grant in writes} == {
        "plan_run",
        "validate_dataset",
        "scan_range",
        "merge_scans",
        "deploy_model",
        "evaluate_model",
        "ask_range",
        "write_report",
        "JudgeRole",
        "TrainingRole",
    }
    for grant in writes:
        for resource in grant.resources:
            assert resource["Fn::Sub"].startswith(
                ("${RunBucket.Arn}/runs/", "${RunBucket.Arn}/validation/", "${RunBucket.Arn}/checkpoints/")
            )


def test_no_role_may_remove_a_training_job_and_so_free_its_name() -> None:
    assert not {grant.role for grant in grants() if grant.action == "sagemaker:DeleteTrainingJob"}


def test_no_other_hub_than_the_stacks_own_is_read_or_trained_from() -> None:
    policies = ("PreflightHub", "HubLaunch")
    hubs = [grant for name in policies for grant in _granted(name, RESOURCES[name]["Properties"]["PolicyDocument"])]
    assert {RESOURCES[name]["Condition"] for name in policies} == {"HasHub"}
    assert not [grant for grant in grants() if "Hub" in grant.action]
    assert {grant.action.partition(":")[2] for grant in hubs} == {
        "DescribeHubContent",
        "ListHubContents",
        "TrainHubModel",
    }
    for grant in hubs:
        assert all("/${PrivateHub}" in resource["Fn::Sub"] for resource in grant.resources)


def test_jobs_and_endpoints_of_other_stacks_are_out_of_reach() -> None:
    own = re.compile(r".*:(training-job|model|endpoint-config|endpoint|inference-component)/\$\{AWS::StackName\}-\*")
    granted = [grant for grant in grants() if grant.action.startswith("sagemaker:") and "*" not in grant.resources]
    assert granted
    for grant in granted:
        assert all(own.fullmatch(resource["Fn::Sub"]) for resource in grant.resources)


@pytest.mark.parametrize("role", sorted(_of_type("AWS::IAM::Role")))
def test_a_role_trusts_its_service_for_this_account_only(role: str) -> None:
    for statement in RESOURCES[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        assert statement["Principal"].keys() == {"Service"}
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


# ---------------------------------------------------------------- what is kept


@pytest.mark.parametrize("bucket", sorted(_of_type("AWS::S3::Bucket")))
def test_a_bucket_is_private_encrypted_and_kept(bucket: str) -> None:
    resource = RESOURCES[bucket]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert len(resource["Properties"]["PublicAccessBlockConfiguration"]) == 4
    assert all(resource["Properties"]["PublicAccessBlockConfiguration"].values())
    assert resource["Properties"]["BucketEncryption"]


@pytest.mark.parametrize(
    ("bucket", "parameter", "prefix"),
    [("DropBucket", "KeepDropsDays", "datasets/"), ("RunBucket", "KeepRunFilesDays", "runs/")],
)
def test_drops_and_run_files_stay_until_the_stack_says_for_how_long(bucket: str, parameter: str, prefix: str) -> None:
    def expiry(template: dict[str, Any]) -> list[Any]:
        rules = template["Resources"][bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
        return [
            rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == prefix and "ExpirationInDays" in rule
        ]

    assert expiry(fold(TEMPLATE)) == []
    assert expiry(fold(TEMPLATE, {parameter: "30"})) == ["30"]


def test_what_nobody_reads_any_more_is_removed_from_every_bucket() -> None:
    def rules(bucket: str) -> list[dict[str, Any]]:
        folded = fold(TEMPLATE)["Resources"][bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
        assert all(rule["Status"] == "Enabled" for rule in folded)
        return [{name: value for name, value in rule.items() if name not in ("Id", "Status")} for rule in folded]

    assert {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}} in rules("DropBucket")
    assert {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}} in rules("RunBucket")
    assert {"NoncurrentVersionExpiration": {"NoncurrentDays": 90}} in rules("DropBucket")
    assert {"ExpiredObjectDeleteMarker": True} in rules("DropBucket")
    assert {"ExpirationInDays": 90} in rules("AccessLogs")


@pytest.mark.parametrize("bucket", sorted(_of_type("AWS::S3::Bucket")))
def test_a_bucket_speaks_tls_only(bucket: str) -> None:
    statement = next(each for each in _statements(f"{bucket}Policy") if each["Effect"] == "Deny")
    assert RESOURCES[f"{bucket}Policy"]["Properties"]["Bucket"] == {"Ref": bucket}
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}


@pytest.mark.parametrize("policy", ["NotificationsPolicy", "DeadLetterQueuePolicy"])
def test_a_message_travels_by_tls_only(policy: str) -> None:
    (statement,) = [each for each in _statements(policy) if each["Effect"] == "Deny"]
    assert statement["Principal"] == "*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}


def test_alarms_may_publish_although_the_topic_has_a_policy() -> None:
    (statement,) = [each for each in _statements("NotificationsPolicy") if each["Effect"] == "Allow"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")


@pytest.mark.parametrize("bucket", ["DropBucket", "RunBucket"])
def test_who_reads_and_writes_is_logged(bucket: str) -> None:
    logging = RESOURCES[bucket]["Properties"]["LoggingConfiguration"]
    assert logging["DestinationBucketName"] == {"Ref": "AccessLogs"}
    (delivery,) = [each for each in _statements("AccessLogsPolicy") if each["Effect"] == "Allow"]
    assert {"Fn::Sub": f"${{AccessLogs.Arn}}/{logging['LogFilePrefix']}*"} in delivery["Resource"]


def test_a_key_of_the_stack_s_encrypts_all_that_is_kept() -> None:
    stack = fold(TEMPLATE, {"KmsKeyArn": "a-key"})
    kept = {name: each["Properties"] for name, each in stack["Resources"].items() if "Properties" in each}
    for bucket in ("DropBucket", "RunBucket"):
        (rule,) = kept[bucket]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "a-key"}
    assert kept["RunsTable"]["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": "a-key"}
    assert kept["Notifications"]["KmsMasterKeyId"] == kept["DeadLetterQueue"]["KmsMasterKeyId"] == "a-key"
    assert "SqsManagedSseEnabled" not in kept["DeadLetterQueue"]
    assert kept["FunctionLogs"]["KmsKeyId"] == stack["Globals"]["Function"]["KmsKeyArn"] == "a-key"


def test_every_role_may_use_the_stack_s_key() -> None:
    functions = {f"{name}Role" for name in _of_type("AWS::Serverless::Function")}
    roles = RESOURCES["KeyAccess"]["Properties"]["Roles"]
    users = {(each["Fn::If"][1] if "Fn::If" in each else each)["Ref"] for each in roles}
    assert users == functions | set(_of_type("AWS::IAM::Role"))


def test_drops_are_versioned_and_announced() -> None:
    properties = RESOURCES["DropBucket"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_the_record_is_kept_and_can_be_brought_back() -> None:
    resource = RESOURCES["RunsTable"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    assert resource["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert resource["Properties"]["DeletionProtectionEnabled"]
    assert resource["Properties"]["SSESpecification"]["SSEEnabled"]
    assert resource["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_the_stack_tells_the_command_where_things_are() -> None:
    text = (ROOT / "cli/tunedrop_cli/aws.py").read_text()
    read = set(re.findall(r'outputs\["(\w+)"\]', text))
    assert {"DropBucketName", "RunBucketName", "RunsTableName"} <= read
    assert read <= set(TEMPLATE["Outputs"])


def test_functions_stand_in_the_order_of_a_run() -> None:
    order = [
        "plan_run",
        "validate_dataset",
        "scan_range",
        "merge_scans",
        "record_approval",
        "launch_training",
        "track_training",
        "deploy_model",
        "track_deployment",
        "evaluate_model",
        "ask_range",
        "promote_model",
        "write_report",
        "track_experiment",
        "notify",
        "reconcile_runs",
    ]
    assert list(FUNCTIONS) == order


def test_the_template_merges_no_mappings() -> None:
    # CloudFormation reads neither aliases nor merges; sam writes the aliases out before it uploads.
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
    events = yaml.parse((ROOT / "template.yaml").read_text())
    assert not [event for event in events if isinstance(event, yaml.ScalarEvent) and event.value == "<<"]
