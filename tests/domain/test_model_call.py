"""How a tuned model is called is told before it is trained, and chosen by what Bedrock says of it afterwards."""

from typing import Literal

import pytest

from tunedrop.domain.model_call import ModelCall, call_of_imported, expected_call


@pytest.mark.parametrize(
    ("instruct_supported", "pictures", "call"),
    [
        (True, False, ModelCall.CONVERSE),
        (False, False, ModelCall.INVOKE_MODEL),
        (True, True, ModelCall.INVOKE_MODEL),
        (False, True, ModelCall.INVOKE_MODEL),
    ],
)
def test_converse_is_taken_wherever_it_is_sure(*, instruct_supported: bool, pictures: bool, call: ModelCall) -> None:
    assert call_of_imported(instruct_supported=instruct_supported, pictures=pictures) is call


@pytest.mark.parametrize(
    ("converse", "pictures", "begins", "says"),
    [
        ("yes", False, "Converse", ""),
        ("no", False, "InvokeModel", "does not take"),
        ("unknown", False, "Converse if", "else InvokeModel"),
        ("unknown", True, "InvokeModel", "pictures"),
    ],
)
def test_what_is_expected_is_said_as_surely_as_it_is_known(
    converse: Literal["yes", "no", "unknown"], begins: str, says: str, *, pictures: bool
) -> None:
    told = expected_call(converse, pictures=pictures)

    assert told.startswith(begins)
    assert says in told
