"""One conversation: messages with a role and a content, as chat rows and pairs of answers hold them."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import ErrorDetails

from tunedrop.domain.strict_json import JsonValue, kind_of, quoted
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows.json_lines import dotted, faults, shown

_TURNS = ("user", "assistant")

LEGAL = {_TURNS * pairs for pairs in range(1, 65)}
"""The usual role sequences; of longer ones `order_flaw` makes sure."""
LEGAL_WITH_SYSTEM = LEGAL | {("system", *turns) for turns in LEGAL}

SURE_FAULTS = {
    "Invalid enum value": "data.unknown-role",
    "Expected `str`, got": "data.not-text",
    "Expected `array`, got": "data.not-a-list",
    "Object missing required field `content`": "data.missing-field",
    "Object missing required field `role`": "data.missing-field",
    "Object contains unknown field `from`": "data.sharegpt",
    "Object contains unknown field `value`": "data.sharegpt",
    "Object contains unknown field": "data.extra-message-key",
    "Expected `object`, got": "data.not-a-message",
    "Expected `str` of length >= 1": "data.empty-content",
}
"""What the fast decoder says of a message that the contract refuses, too; see `sure_fault`."""

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Hold one message as the fast path reads it."""

    role: Literal["system", "user", "assistant"]
    content: _NonEmpty


Messages = Annotated[list[Message], msgspec.Meta(min_length=1)]

_MESSAGES_AT_ONCE = 256
"""Messages that are held against the contract together: it takes a kilobyte for each that is wrong."""

_KEYS_AT_MOST = 16
"""Keys of one message that are looked at, beside the two that it should have."""


class _MessageContract(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str = Field(pattern=r"\S")


@cache
def _contract(key: str) -> type[BaseModel]:
    messages: Any = (list[_MessageContract], Field(min_length=1, alias=key))
    return create_model("Conversation", __config__=ConfigDict(strict=True), messages=messages)


def order_flaw(key: str, roles: Sequence[str]) -> Flaw | None:
    """Find the first role out of order: an optional system message, then user and assistant in turns."""
    first = 1 if roles[0] == "system" else 0
    for index in range(first, len(roles)):
        expected = _TURNS[(index - first) % 2]
        if roles[index] != expected:
            message = f"The message is the {roles[index]}'s where the {expected}'s turn is."
            return Flaw("data.role-order", message, f"{key}[{index}].role")
    if roles[-1] != "assistant":
        message = f"The conversation ends with the {roles[-1]}'s message: there is no answer to learn."
        return Flaw("data.ends-with-user", message, f"{key}[{len(roles) - 1}].role")
    return None


def conversation_flaws(document: dict[str, JsonValue], key: str) -> tuple[Flaw, ...]:
    """Hold a conversation against its contract: the first part that has flaws tells them."""
    conversation = document[key]
    if not isinstance(conversation, list):
        return faults(document, _contract(key), _worded)
    for start in range(0, len(conversation) or 1, _MESSAGES_AT_ONCE):

        def worded(error: ErrorDetails, _: dict[str, JsonValue], start: int = start) -> Flaw:
            placed = error.copy()
            name, *place = error["loc"]
            if place:
                placed["loc"] = (name, start + int(place[0]), *place[1:])
            return _worded(placed, document)

        part = list(map(_bounded, conversation[start : start + _MESSAGES_AT_ONCE]))
        if flaws := faults({key: part}, _contract(key), worded):
            return flaws
    return ()


def _bounded(message: JsonValue) -> JsonValue:
    """Leave keys that are too many out of a message: the contract takes a kilobyte, and its time, for each of them."""
    if not isinstance(message, dict) or len(message) <= _KEYS_AT_MOST:
        return message
    first = {key: message[key] for key in islice(message, _KEYS_AT_MOST)}
    return first | {key: message[key] for key in _MessageContract.model_fields if key in message}


_CALLED = ("tool", "function")
"""Roles of what answers a call."""
_CALLS = frozenset({"tool_calls", "function_call"})
_OF_CALLS = "Training knows no calls of tools: write what the assistant says of them as one answer, or remove the row."
_OF_PARTS = 'Join the parts into one text: {"role": "user", "content": "..."}.'
_OF_SYSTEM = "Remove the system message, or give it a text: a conversation may begin with the user's."


def _worded(error: ErrorDetails, document: dict[str, JsonValue]) -> Flaw:
    place = error["loc"]
    path = dotted(place)
    value = error["input"]
    match error["type"], len(place):
        case "missing", _:
            message_ = _message(document, place)
            if "from" in message_ and "value" in message_:
                return Flaw("data.sharegpt", 'The message has "from" and "value".', dotted(place[:-1]))
            return Flaw("data.missing-field", f"The message lacks {quoted(str(place[-1]))}.", dotted(place[:-1]))
        case "extra_forbidden", _:
            message_ = _message(document, place)
            if "from" in message_ and "value" in message_:
                return Flaw("data.sharegpt", 'The message has "from" and "value".', dotted(place[:-1]))
            return Flaw("data.extra-message-key", f"The message has the key {quoted(str(place[-1]))}.", path)
        case "literal_error", _:
            fix = _remedy(_message(document, place))
            return Flaw("data.unknown-role", "The role is none that training knows.", path, 0, shown(value), fix)
        case "string_pattern_mismatch", _:
            return Flaw("data.empty-content", "The message is empty.", path, fix=_remedy(_message(document, place)))
        case "string_type", _:
            fix = _remedy(_message(document, place))
            return Flaw("data.not-text", f"The content is {_kind(value)}.", path, 0, shown(value), fix)
        case "too_short", _:
            return Flaw("data.no-messages", "The conversation has no message.", path)
        case "list_type", _:
            return Flaw("data.not-a-list", f"The conversation is {_kind(value)}.", path, excerpt=shown(value))
    return Flaw("data.not-a-message", f"The message is {_kind(value)}.", path, excerpt=shown(value))


def _remedy(message: Mapping[str, Any]) -> str:
    """Say what mends a role or a content, where more is known than the code says."""
    if message.get("role") in _CALLED or not _CALLS.isdisjoint(message):
        return _OF_CALLS
    if message.get("role") == "system":
        return _OF_SYSTEM
    return _OF_PARTS if isinstance(message.get("content"), list) and message.get("role") in _TURNS else ""


def _message(document: Mapping[str, Any], place: tuple[int | str, ...]) -> Mapping[str, Any]:
    messages = document.get(str(place[0]))
    index = place[1] if len(place) > 1 else None
    message = messages[index] if isinstance(messages, list) and isinstance(index, int) else {}
    return message if isinstance(message, dict) else {}


def _kind(value: Any) -> str:
    return kind_of(value)
