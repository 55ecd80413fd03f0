"""How a model is called: by Converse, which most programs speak, InvokeModel where that is surer, or InvokeEndpoint."""

from enum import StrEnum
from typing import Literal


class ModelCall(StrEnum):
    """Name the operation; the value is AWS's own name of it."""

    CONVERSE = "Converse"
    INVOKE_MODEL = "InvokeModel"
    """With OpenAI's chat form as the body: every imported family takes it.

    https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
    """
    INVOKE_ENDPOINT = "InvokeEndpoint"
    """SageMaker's own, with the same body: JumpStart's containers take it.

    https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
    """

    @property
    def words(self) -> str:
        """Say it to a person."""
        return "Converse" if self is ModelCall.CONVERSE else f"{self}, with messages in OpenAI's chat form"


def call_of_imported(*, instruct_supported: bool, pictures: bool) -> ModelCall:
    """Choose for an imported model, by what Bedrock says of it and whether it is shown pictures.

    AWS's page promises pictures in OpenAI's chat form; of Converse and an imported model's pictures no page speaks.
    """
    return ModelCall.CONVERSE if instruct_supported and not pictures else ModelCall.INVOKE_MODEL


def expected_call(converse: Literal["yes", "no", "unknown"], *, pictures: bool) -> str:
    """Say how a tuned model will be called; `converse` is what is known of its family before it is imported."""
    by_converse, by_invoking = ModelCall.CONVERSE.words, ModelCall.INVOKE_MODEL.words
    if pictures:
        return f"{by_invoking}, as it is shown pictures"
    match converse:
        case "yes":
            return by_converse
        case "no":
            return f"{by_invoking}, for Converse does not take an imported model of its family"
    return f"{by_converse} if Bedrock says that it can be (instructSupported), else {by_invoking}"
