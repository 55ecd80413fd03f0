"""A conversation with a promoted model through Bedrock Converse."""

import time
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError, code

WARM_UP_SECONDS = 600.0
"""How long a cold model may take: Bedrock copies tens of gigabytes back after minutes without a call."""

RETRY_SECONDS = 5.0

# We retry ModelNotReadyException ourselves and say so; botocore would retry it in silence.
# https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=300)
_RETRIED = frozenset(
    {
        "InternalServerException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "ServiceUnavailableException",
        "ThrottlingException",
    }
)


class Conversation:
    """Keep the turns of one conversation."""

    def __init__(self, stack: Stack, model_arn: str, max_tokens: int) -> None:
        """Converse with the model, at temperature 0 as the evaluation does."""
        self._client = stack.client("bedrock-runtime", _CONFIG)
        self._model_arn = model_arn
        self._inference = {"maxTokens": max_tokens, "temperature": 0.0}
        self._messages: list[dict[str, Any]] = []

    def ask(self, text: str, waiting: Callable[[float], None]) -> str:
        """Return the answer to the next user turn; `waiting` is told the seconds waited so far."""
        messages = [*self._messages, {"role": "user", "content": [{"text": text}]}]
        waited = 0.0
        while True:
            try:
                answer = self._client.converse(
                    modelId=self._model_arn, messages=messages, inferenceConfig=self._inference
                )
            except ClientError as error:
                if code(error) == "ResourceNotFoundException":
                    raise CommandError(
                        f"The promoted model {self._model_arn} is gone.", "Drop the dataset again to make a new one."
                    ) from error
                if code(error) not in _RETRIED:
                    raise
                if waited >= WARM_UP_SECONDS:
                    raise CommandError(
                        f"The model did not get ready in {waited / 60:.0f} minutes.", "Try again later."
                    ) from error
                waiting(waited)
                time.sleep(RETRY_SECONDS)
                waited += RETRY_SECONDS
            else:
                message = answer["output"]["message"]
                self._messages = [*messages, message]
                return "".join(part.get("text", "") for part in message["content"])
