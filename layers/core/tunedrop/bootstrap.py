"""The composition root: settings to adapters, adapters to steps, and the frame around every handler."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from tunedrop.adapters.bedrock import BedrockConversation, BedrockModelImports
from tunedrop.adapters.clock import SystemClock
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.adapters.ec2 import EC2Network
from tunedrop.adapters.endpoints import Conversations, EndpointConversation, SageMakerEndpoints
from tunedrop.adapters.hub import HubCatalogue
from tunedrop.adapters.judge_jobs import BedrockJudgeJobs
from tunedrop.adapters.kms import KMSKeys
from tunedrop.adapters.mlflow import MlflowExperiments, mlflow_client
from tunedrop.adapters.prices import PriceListPrices, price_list_client
from tunedrop.adapters.s3 import LINKS, S3Drops, S3ModelFiles, S3RunFiles
from tunedrop.adapters.sagemaker import SageMakerTrainingJobs
from tunedrop.adapters.service_quotas import ServiceQuotas
from tunedrop.adapters.sns import SNSNotifier
from tunedrop.adapters.ssm import SSMAliases
from tunedrop.adapters.step_functions import StepFunctionsWorkflows
from tunedrop.adapters.training_log import CloudWatchTrainingLog
from tunedrop.domain.budget import cap_cents
from tunedrop.domain.decide import Effect
from tunedrop.domain.observations import Observation
from tunedrop.domain.run import Run
from tunedrop.observability import ObservedRuns, follow, logger, tracer
from tunedrop.settings import Settings
from tunedrop.steps.advance import LOOKED, Performer, advance

if TYPE_CHECKING:
    from botocore.client import BaseClient

CALLS = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,  # as many as ever copy at once
)
"""How patiently AWS is called; what still fails is tried again by Lambda."""

CONVERSATION = Config(retries={"mode": "standard", "total_max_attempts": 10}, connect_timeout=5, read_timeout=120)
"""A cold model answers ModelNotReadyException for a while, which botocore retries.

https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

Handler = Callable[[dict[str, Any], LambdaContext], object]


class Application:
    """Hold the adapters of one function, each made when it is first used."""

    def __init__(self, settings: Settings) -> None:
        """Use the settings of the function."""
        self.settings = settings
        self.clock = SystemClock()

    @classmethod
    def from_environment(cls) -> "Application":
        """Read the settings from the function's environment."""
        return cls(Settings.from_environment())

    def advance(self, run_id: str, performers: Mapping[Effect, Performer], first: Observation = LOOKED) -> Run | None:
        """Bring a run as far as the performers can; `first` is what the event itself says."""
        follow(run_id)
        return advance(run_id, performers, self.runs, self.clock, first)

    @cached_property
    def runs(self) -> ObservedRuns:
        """Return the store of runs."""
        cap = cap_cents(self.settings.monthly_cap_usd)
        return ObservedRuns(DynamoDBRunStore(self._client("dynamodb"), self.settings.runs_table, cap))

    @cached_property
    def drops(self) -> S3Drops:
        """Return the drop bucket."""
        return S3Drops(self._client("s3"), self.settings.drop_bucket)

    @cached_property
    def files(self) -> S3RunFiles:
        """Return the runs' own files."""
        return S3RunFiles(self._client("s3", CALLS.merge(LINKS)), self.settings.run_bucket)

    @cached_property
    def models(self) -> S3ModelFiles:
        """Return what lies beside the models' weights."""
        return S3ModelFiles(self._client("s3"))

    @cached_property
    def workflows(self) -> StepFunctionsWorkflows:
        """Return the workflow that validates large datasets."""
        return StepFunctionsWorkflows(self._client("stepfunctions"), self.settings.validation_workflow_arn)

    @cached_property
    def evaluations(self) -> StepFunctionsWorkflows:
        """Return the workflow that asks large sets of held-out rows."""
        return StepFunctionsWorkflows(self._client("stepfunctions"), self.settings.evaluation_workflow_arn)

    def hub(self, name: str) -> HubCatalogue:
        """Return a private hub's catalogue."""
        return HubCatalogue(self._client("sagemaker"), self.settings.region, name)

    @cached_property
    def network(self) -> EC2Network:
        """Return the network of training jobs."""
        return EC2Network(self._client("ec2"))

    @cached_property
    def keys(self) -> KMSKeys:
        """Return KMS's keys."""
        return KMSKeys(self._client("kms"))

    @cached_property
    def quotas(self) -> ServiceQuotas:
        """Return the account's quotas."""
        return ServiceQuotas(self._client("service-quotas"))

    @cached_property
    def prices(self) -> PriceListPrices:
        """Return AWS's Price List."""
        region = self.settings.region
        return PriceListPrices(price_list_client(boto3.Session(), region), region, self.clock)

    @cached_property
    def jobs(self) -> SageMakerTrainingJobs:
        """Return SageMaker's training jobs."""
        return SageMakerTrainingJobs(self._client("sagemaker"))

    @cached_property
    def training_log(self) -> CloudWatchTrainingLog:
        """Return the logs of training jobs."""
        return CloudWatchTrainingLog(self._client("logs"))

    @cached_property
    def imports(self) -> BedrockModelImports:
        """Return Bedrock's model imports."""
        return BedrockModelImports(self._client("bedrock"), self.settings.import_role_arn)

    @cached_property
    def judges(self) -> BedrockJudgeJobs:
        """Return Bedrock's evaluation jobs."""
        return BedrockJudgeJobs(self._client("bedrock"), self.settings.judge_role_arn)

    @cached_property
    def endpoints(self) -> SageMakerEndpoints:
        """Return the endpoints on SageMaker."""
        clients = (self._client(each) for each in ("sagemaker", "application-autoscaling", "cloudwatch"))
        return SageMakerEndpoints(*clients)

    @cached_property
    def conversation(self) -> Conversations:
        """Return the models, to be asked."""
        return Conversations(
            BedrockConversation(self._client("bedrock-runtime", CONVERSATION)),
            EndpointConversation(self._client("sagemaker-runtime", CONVERSATION)),
        )

    @cached_property
    def experiments(self) -> MlflowExperiments:
        """Return the MLflow tracking server."""
        server_arn = self.settings.mlflow_server_arn
        # The server may be another Region's.
        return MlflowExperiments(mlflow_client(server_arn.split(":")[3], CALLS), server_arn)

    @cached_property
    def aliases(self) -> SSMAliases:
        """Return the aliases."""
        return SSMAliases(self._client("ssm"))

    @cached_property
    def notifier(self) -> SNSNotifier:
        """Return the notifications' topic."""
        return SNSNotifier(self._client("sns"), self.settings.topic_arn)

    def _client(self, service: str, config: Config = CALLS) -> "BaseClient":
        client: BaseClient = boto3.client(service, region_name=self.settings.region, config=config)
        return client


def observed(handler: Handler) -> Handler:
    """Give a handler structured logs and a trace; its errors reach Lambda, which retries and then keeps the event."""
    with_logs = logger.inject_lambda_context(handler, clear_state=True)
    return tracer.capture_lambda_handler(with_logs, capture_response=False)
