"""What the template tells a function through its environment."""

import os
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tunedrop.domain import names


class Settings(BaseModel):
    """Hold the stack's names; a function is given only those that it uses, and asking for another is an error."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    region: str = Field(alias="AWS_REGION")
    stack: str = Field(alias="STACK_NAME", max_length=names.STACK_NAME_LIMIT, pattern=names.STACK_NAME_PATTERN)
    runs_table: str = Field(alias="RUNS_TABLE")
    drop_bucket: str = Field(alias="DROP_BUCKET", default="")
    run_bucket: str = Field(alias="RUN_BUCKET", default="")
    training_role_arn: str = Field(alias="TRAINING_ROLE_ARN", default="")
    hosting_role_arn: str = Field(alias="HOSTING_ROLE_ARN", default="")
    import_role_arn: str = Field(alias="IMPORT_ROLE_ARN", default="")
    judge_role_arn: str = Field(alias="JUDGE_ROLE_ARN", default="")
    mlflow_server_arn: str = Field(alias="MLFLOW_SERVER_ARN", default="")
    """The managed MLflow tracking server that runs are told to."""
    topic_arn: str = Field(alias="TOPIC_ARN", default="")
    validation_workflow_arn: str = Field(alias="VALIDATION_WORKFLOW_ARN", default="")
    validate_at_once_megabytes: float = Field(alias="VALIDATE_AT_ONCE_MEGABYTES", default=0, ge=0)
    """Larger datasets are read by the workflow; a megabyte has 1,048,576 bytes."""
    validation_range_megabytes: float = Field(alias="VALIDATION_RANGE_MEGABYTES", default=0, ge=0)
    evaluation_workflow_arn: str = Field(alias="EVALUATION_WORKFLOW_ARN", default="")
    evaluate_at_once_rows: int = Field(alias="EVALUATE_AT_ONCE_ROWS", default=0, ge=0)
    """More held-out rows are asked by the workflow."""
    evaluation_range_rows: int = Field(alias="EVALUATION_RANGE_ROWS", default=1, ge=1)
    keep_champion_days: float = Field(alias="KEEP_CHAMPION_DAYS", default=0, ge=0)
    """How long Bedrock keeps the model of a former champion."""
    monthly_cap_usd: float = Field(alias="MONTHLY_CAP_USD", default=0, ge=0)
    """What the training jobs of a month may cost together; 0 for any amount."""
    max_budget_usd: float = Field(alias="MAX_BUDGET_USD", default=0, ge=0)
    """The budget of a run that names none, and the most that one may name; 0 for none."""
    auto_approve_usd: float | None = Field(alias="AUTO_APPROVE_USD", default=None, ge=0)
    """What a run may cost that is launched without asking; None for any amount."""
    approval_hours: float = Field(alias="APPROVAL_HOURS", default=72, gt=0)
    """How long a run waits for a person's approval."""
    base_models: str = Field(alias="BASE_MODELS", default="{}")
    """JSON, as the stack parameter has it: JumpStart model id → id of Bedrock's own model of the same weights."""
    instance_prices: str = Field(alias="INSTANCE_PRICES", default="{}")
    """JSON, as the stack parameter has it: instance type → US dollars an hour."""
    policy: str = Field(alias="POLICY", default="{}")
    """JSON, as the stack parameter has it: what the platform team allows."""

    private_hub: str = Field(alias="PRIVATE_HUB", default="")
    """The hub that alone has the models of this stack; empty for JumpStart's own catalogue."""
    instance_types: tuple[str, ...] = Field(alias="INSTANCE_TYPES", default=("*",))
    """Globs of the instance types that IAM lets the launch use."""
    longest_training_seconds: int = Field(alias="LONGEST_TRAINING_SECONDS", default=0, ge=0)
    """MaxRuntimeInSeconds that IAM lets the launch ask for."""
    training_subnets: tuple[str, ...] = Field(alias="TRAINING_SUBNETS", default=())
    training_security_groups: tuple[str, ...] = Field(alias="TRAINING_SECURITY_GROUPS", default=())
    kms_key_arn: str | None = Field(alias="KMS_KEY_ARN", default=None)
    isolate_training: bool = Field(alias="ISOLATE_TRAINING", default=False)
    serverless_customisation: bool = Field(alias="SERVERLESS_CUSTOMISATION", default=True)

    @field_validator("instance_types", "training_subnets", "training_security_groups", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        # CloudFormation trims the entries of a list; who reads the parameter itself sees it as it was typed.
        return tuple(each.strip() for each in value.split(",") if each.strip()) if isinstance(value, str) else value

    @field_validator("kms_key_arn", "auto_approve_usd", mode="before")
    @classmethod
    def _none_for_empty(cls, value: object) -> object:
        return value or None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises pydantic's ValidationError naming each variable that is missing or wrong."""
        return cls.model_validate(dict(environment))
