"""A conversation with a promoted model on Bedrock."""

import time
from collections.abc import Callable

from botocore.config import Config

from tunedrop.adapters.bedrock import BedrockConversation, imported_model
from tunedrop.domain.model_call import call_of_imported
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.ports import Question, Turn
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError

WARM_UP_SECONDS = 600.0
"""How long a cold model may take: Bedrock copies tens of gigabytes back after minutes without a call."""

RETRY_SECONDS = 5.0

# We retry ModelNotReadyException ourselves and say so; botocore would retry it in silence.
# https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=300)


class Conversation:
    """Keep the turns of one conversation."""

    def __init__(self, stack: Stack, model_arn: str, max_tokens: int) -> None:
        """Talk with the model as the evaluation does: by the same call, at temperature 0."""
        try:
            model = imported_model(stack.client("bedrock"), model_arn)
        except ModelUnavailableError as error:
            raise CommandError(
                f"The promoted model {model_arn} is gone.", "Drop the dataset again to make a new one."
            ) from error
        except TransientError as error:
            raise CommandError(f"Bedrock did not answer: {error}", "Try again later.") from error
        self.call = call_of_imported(instruct_supported=model.instruct_supported, pictures=False)
        self._models = BedrockConversation(stack.client("bedrock-runtime", _CONFIG))
        self._model_arn = model_arn
        self._max_tokens = max_tokens
        self._turns: tuple[Turn, ...] = ()

    def ask(self, text: str, waiting: Callable[[float], None]) -> str:
        """Return the answer to the next user turn; `waiting` is told the seconds waited so far."""
        turns = (*self._turns, Turn(role="user", text=text))
        waited = 0.0
        while True:
            try:
                answer = self._models.ask(self._model_arn, self.call, Question(turns=turns), self._max_tokens)
            except (ModelUnavailableError, PromptRefusedError) as error:
                raise CommandError(f"Bedrock refused to ask {self._model_arn}: {error}") from error
            except (ModelNotReadyError, TransientError) as error:
                if waited >= WARM_UP_SECONDS:
                    raise CommandError(
                        f"The model did not get ready in {waited / 60:.0f} minutes: {error}", "Try again later."
                    ) from error
                waiting(waited)
                time.sleep(RETRY_SECONDS)
                waited += RETRY_SECONDS
            else:
                self._turns = (*turns, Turn(role="assistant", text=answer.text))
                return answer.text
