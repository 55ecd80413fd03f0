"""Calls of an inference component on SageMaker, with OpenAI's chat form as the body."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from tunedrop.adapters import chat_form, failures
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError

_CLIENT_ERROR = frozenset(range(400, 500)) - {408, 429}
"""What the container says of the prompt itself; of those two it may say something else in a while."""

_MOST_BYTES = 6_291_456
"""Of a body, pictures in base64 included: botocore's own model of the API names it, and does not look.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

_NO_COPY = "has no capacity"
"""What SageMaker says while a component is scaled to zero, in the very code that says that there is no endpoint.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
"""

_EVENT = "data:"
_DONE = "[DONE]"


@contextmanager
def refusals() -> Iterator[None]:
    """Translate why a model on SageMaker does not answer."""
    try:
        with failures.transient():
            yield
    except ClientError as error:
        said = failures.message(error)
        match failures.code(error):
            case "ModelError" if error.response.get("OriginalStatusCode") in _CLIENT_ERROR:
                raise PromptRefusedError(said) from error
            case "ModelError" | "ModelNotReadyException":
                raise ModelNotReadyError(said) from error
            case "ValidationError" if _NO_COPY in said:
                raise ModelNotReadyError(said) from error
            case "ValidationError" | "AccessDeniedException":
                raise ModelUnavailableError(said) from error
        raise


def invoked(client: Any, name: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ask the component of an endpoint that has its name; returns the answer as Converse tells it, and as it came."""
    started = time.monotonic()
    answer = client.invoke_endpoint(**_request(name, body))
    completion = json.loads(answer["Body"].read())
    return chat_form.answer(completion, (time.monotonic() - started) * 1000), completion


def streamed(client: Any, name: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Open a stream, and return its chunks."""
    opened = client.invoke_endpoint_with_response_stream(**_request(name, {**body, "stream": True}))
    return chunks(event["PayloadPart"]["Bytes"] for event in opened["Body"])


def _request(name: str, body: Mapping[str, Any]) -> dict[str, str]:
    kind, written = "application/json", json.dumps(body)
    if len(written) > _MOST_BYTES:  # it is ASCII
        raise PromptRefusedError(
            f"The prompt has {len(written):,} bytes as SageMaker is sent it, pictures included; an endpoint takes "
            f"{_MOST_BYTES:,}."
        )
    return {
        "EndpointName": name,
        "InferenceComponentName": name,
        "ContentType": kind,
        "Accept": kind,
        "Body": written,
    }


def chunks(parts: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Read JSON from server-sent events or plain lines, whichever the container writes; a part may end amid a line.

    https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/lmi_input_output_schema.html
    """
    for line in _lines(parts):
        told = line.removeprefix(_EVENT).strip()
        if told and told != _DONE:
            yield json.loads(told)


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode() for line in whole)
    yield rest.decode()
