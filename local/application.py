"""The application on the embedded AWS: the services that it needs, its models, its stack and an inbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.bedrock.service import Bedrock
from local.bedrock.settings import Settings as BedrockSettings
from local.engine import Engine, Settings

if TYPE_CHECKING:
    from local.jumpstart.specs import CatalogueModel

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
STACK_NAME = "tunedrop"
INBOX_NAME = "tunedrop-inbox"
CONTENT_BUCKET = "tunedrop-jumpstart-cache"


def settings(
    progress: Callable[[str], None] = print,
    models: Sequence[CatalogueModel] | None = None,
    imported_models: int = 3,
    **changes: Any,
) -> Settings:
    """Return an engine's settings with the local SageMaker and the local Bedrock, whose models are made when missing.

    Args:
        progress: told, in a sentence, what takes long.
        models: what Bedrock offers on demand; the whole catalogue when left out.
        imported_models: Bedrock's quota of them; 3 as on AWS.
        changes: other fields of Settings.
    """
    progress("Looking for the models' weights …")
    weights = {bedrock_model_id(model): str(model.weights()) for model in models or _catalogue()}
    services = {
        "local.sagemaker.service:SageMaker": {"jumpstart_bucket": CONTENT_BUCKET},
        "local.application_autoscaling:ApplicationAutoScaling": {},
        "local.service_quotas:ServiceQuotas": {"imported_models": imported_models},
        "local.price_list:PriceList": {},
        "local.mlflow_tracking:MlflowTracking": {},
        "local.application:make_bedrock": {"foundation_models": weights, "imported_models": imported_models},
    }
    return Settings(services=services, **changes)


def make_bedrock(foundation_models: Mapping[str, str], imported_models: int) -> Bedrock:
    """Make the local Bedrock in the engine's process, from model ids and the paths of their weights."""
    quotas = BedrockSettings(imported_models=imported_models)
    return Bedrock({model_id: Path(folder) for model_id, folder in foundation_models.items()}, quotas)


def bedrock_model_id(model: CatalogueModel) -> str:
    """Return the id under which the local Bedrock offers a JumpStart model on demand."""
    return f"huggingface.{model.model_id.removeprefix('huggingface-textgeneration-')}-v1:0"


def furnish(
    engine: Engine,
    progress: Callable[[str], None] = print,
    models: Sequence[CatalogueModel] | None = None,
    **parameters: str,
) -> dict[str, str]:
    """Publish the local JumpStart models, deploy the application and subscribe an inbox to its notifications.

    Args:
        engine: a running one.
        progress: told, in a sentence, what takes long.
        models: what JumpStart offers; the whole catalogue when left out.
        parameters: other parameters of the stack.

    Returns:
        The stack's outputs.

    Raises:
        DeploymentError: a resource failed; it says which and why.
    """
    progress("Publishing the local JumpStart models …")
    # Importing it loads torch, which only a process that publishes should pay for.
    from local.jumpstart import cache  # noqa: PLC0415 - as said above

    s3 = engine.client("s3")
    s3.create_bucket(Bucket=CONTENT_BUCKET)
    offered = models or _catalogue()
    cache.publish(s3, CONTENT_BUCKET, offered)
    bases = {model.model_id: bedrock_model_id(model) for model in offered}
    told = {"JumpStartContentBucket": CONTENT_BUCKET, "BaseModels": json.dumps(bases), **parameters}
    outputs = engine.deploy(TEMPLATE, told, STACK_NAME)
    subscribe_inbox(engine, outputs["NotificationsTopicArn"])
    return outputs


def subscribe_inbox(engine: Engine, topic_arn: str) -> str:
    """Let a queue receive what the application tells people, as a user of AWS would; return the queue's URL."""
    sqs = engine.client("sqs")
    url = str(sqs.create_queue(QueueName=INBOX_NAME)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    engine.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
    return url


def _catalogue() -> tuple[CatalogueModel, ...]:
    from local.jumpstart.specs import CATALOGUE  # noqa: PLC0415 - it loads torch

    return tuple(CATALOGUE)
