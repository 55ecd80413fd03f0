"""The champion of a dataset, called as Converse is called."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.validate import ParamValidator

from tunedrop.adapters.ssm import SSMAliases
from tunedrop.client.endpoint import EndpointServing
from tunedrop.client.imported import ImportedServing
from tunedrop.client.serving import Serving
from tunedrop.domain import names
from tunedrop.errors import (
    ModelNotReadyError,
    ModelUnavailableError,
    NothingPromotedError,
    PromptRefusedError,
    TransientError,
    TunedropError,
)

PATIENCE_SECONDS = 600.0
"""How long a cold model may take: Bedrock copies tens of gigabytes back, SageMaker starts an instance."""

RETRY_SECONDS = 5.0

ALIAS_SECONDS = 60.0
"""How long an alias is believed: after a promotion or a rollback, programs follow within so long."""

# A cold start is waited out here, where it can be told; botocore would try again in silence.
# https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
_ONE_ATTEMPT = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=300)

T = TypeVar("T")

Waiting = Callable[[TunedropError, float], None]
"""Is told why the model does not answer yet, and the seconds waited so far."""


class _Champion(NamedTuple):
    serving: Serving
    looked_up: float


class Model:
    """Call the champion of a dataset: whichever model that is by now, and however it is served.

    Safe to share between threads; makes no call before the first question.
    """

    def __init__(
        self,
        dataset: str,
        *,
        stack: str | None = None,
        session: boto3.Session | None = None,
        patience: float = PATIENCE_SECONDS,
        waiting: Waiting | None = None,
    ) -> None:
        """Name the model.

        Args:
            dataset: whose champion answers.
            stack: the CloudFormation stack; `TUNEDROP_STACK` if left out, else `tunedrop`.
            session: credentials and Region; boto3's own if left out.
            patience: seconds to wait for a cold model; it is asked again every few seconds.
            waiting: is told each time that it has to wait.
        """
        self.dataset = dataset
        self._stack = stack or os.environ.get("TUNEDROP_STACK", "tunedrop")
        self._session = session or boto3.Session()
        self._patience = patience
        self._waiting = waiting
        self._clients: dict[str, Any] = {}
        self._champion: _Champion | None = None
        self._lock = Lock()  # boto3's sessions are no safer than that

    def converse(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        system: Sequence[Mapping[str, Any]] | None = None,
        inferenceConfig: Mapping[str, Any] | None = None,  # noqa: N803 - Converse's own name
        confidence: bool = False,
    ) -> dict[str, Any]:
        """Return the answer, in the shape of Bedrock's Converse.

        Args:
            messages: the turns so far, the last one the user's, as Converse takes them; text, and images with bytes.
            system: Converse's system blocks.
            inferenceConfig: `maxTokens`, `temperature`, `topP`, `stopSequences`.
            confidence: adds `confidence` to the answer: `value`, the geometric mean of the answer's token
                probabilities, between 0 and 1, and `tokens`, each with its `text` and `probability`.

        Raises:
            NothingPromotedError: the dataset has no champion.
            ModelNotReadyError: it stayed cold, or AWS throttled, for as long as the patience lasts.
            ModelUnavailableError: it may not be called.
            PromptRefusedError: it does not take these messages.
            ConfidenceUnavailableError: it tells no log probabilities.

        https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
        """
        asked = _asked(messages, system, inferenceConfig)
        return self._patiently(lambda serving: serving.converse(asked, confidence=confidence))

    def converse_stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        system: Sequence[Mapping[str, Any]] | None = None,
        inferenceConfig: Mapping[str, Any] | None = None,  # noqa: N803 - Converse's own name
        confidence: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Return the events of ConverseStream as they come; the call returns when the stream has begun.

        Takes and raises what `converse` does; a stream that breaks later raises where it is read. The confidence is in
        the last event, `metadata`.

        https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
        """
        asked = _asked(messages, system, inferenceConfig)
        return self._patiently(lambda serving: serving.converse_stream(asked, confidence=confidence))

    def serving(self) -> Serving:
        """Return the champion, looked up at most once a minute."""
        with self._lock:
            now = time.monotonic()
            if self._champion is None or now - self._champion.looked_up >= ALIAS_SECONDS:
                self._champion = _Champion(self._looked_up(), now)
            return self._champion.serving

    def _looked_up(self) -> Serving:
        model_arn = SSMAliases(self._client("ssm")).get(names.alias(self._stack, self.dataset))
        if model_arn is None:
            message = f'No model is promoted for the dataset "{self.dataset}" of the stack "{self._stack}" yet.'
            raise NothingPromotedError(message)
        known = self._champion.serving if self._champion else None
        if known and known.model_arn == model_arn:
            return known
        if name := names.endpoint_of(model_arn):
            return EndpointServing(self._client("sagemaker-runtime", _ONE_ATTEMPT), model_arn, name)
        return ImportedServing(self._client("bedrock"), self._client("bedrock-runtime", _ONE_ATTEMPT), model_arn)

    def _client(self, service: str, config: Config | None = None) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service, config=config)
        return self._clients[service]

    def _patiently(self, ask: Callable[[Serving], T]) -> T:
        """Ask until the model answers; a champion that is gone is looked up anew, once."""
        began = time.monotonic()
        anew = False
        while True:
            try:
                return ask(self.serving())
            except ModelUnavailableError:
                if anew:
                    raise
                anew, self._champion = True, None
            except (ModelNotReadyError, TransientError) as error:
                waited = time.monotonic() - began
                if waited >= self._patience:
                    raise ModelNotReadyError(
                        f'The model of "{self.dataset}" did not get ready in {waited:.0f} seconds: {error}'
                    ) from error
                if self._waiting:
                    self._waiting(error, waited)
                time.sleep(RETRY_SECONDS)


def _asked(
    messages: Sequence[Mapping[str, Any]],
    system: Sequence[Mapping[str, Any]] | None,
    inference_config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Put Converse's parameters together, those that are given; raises PromptRefusedError where one is malformed.

    What Converse itself would refuse before it is called is refused for every kind of model, in the same words.
    """
    given = {"messages": messages, "system": system, "inferenceConfig": inference_config}
    asked = {name: value for name, value in given.items() if value is not None}
    report = ParamValidator().validate({"modelId": "champion", **asked}, _converse_parameters())
    if report.has_errors():
        raise PromptRefusedError(report.generate_report())
    return asked


@cache
def _converse_parameters() -> Any:
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    return service.operation_model("Converse").input_shape
