"""Chat rows: one conversation a line, as messages with a role and a content."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import ErrorDetails

from tunedrop.domain.strict_json import JsonValue, kind_of, quoted
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Judged
from tunedrop.validation.rows.json_lines import (
    dotted,
    faults,
    has_only,
    measured_by,
    named,
    one_a_line,
    parse,
    shown,
    sure_fault,
    unread,
)

KEYS = ("messages", "dialog", "conversations")
"""The keys under which JumpStart's scripts read a conversation."""

_TURNS = ("user", "assistant")

_LEGAL = {_TURNS * pairs for pairs in range(1, 65)}
"""The usual role sequences; of longer ones `judge` makes sure."""
_LEGAL_WITH_SYSTEM = _LEGAL | {("system", *turns) for turns in _LEGAL}

_SURE_FAULTS = {
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

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "user", "assistant"]
    content: _NonEmpty


_Messages = Annotated[list[_Message], msgspec.Meta(min_length=1)]


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    key: msgspec.json.Decoder(
        msgspec.defstruct(
            "Conversation",
            [("messages", _Messages)],
            rename={"messages": key},
            forbid_unknown_fields=True,
            frozen=True,
            gc=False,
        )
    )
    for key in KEYS
}


class _MeasuredConversation(msgspec.Struct, frozen=True, gc=False):
    """Hold a conversation with what the evaluation groups it by."""

    messages: _Messages
    measured_by: dict[str, object]


_MESSAGES_AT_ONCE = 256
"""Messages that are held against the contract together: it takes a kilobyte for each that is wrong."""

_KEYS_AT_MOST = 16
"""Keys of one message that are looked at, beside the two that it should have."""

_BEGINNINGS = {key: f'{{"{key}":'.encode() for key in KEYS}

_role, _content, _messages, _last = attrgetter("role"), attrgetter("content"), attrgetter("messages"), itemgetter(-1)


class _MessageContract(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str = Field(pattern=r"\S")


_CONTRACTS: dict[str, type[BaseModel]] = {
    key: create_model(
        "Conversation",
        __config__=ConfigDict(strict=True),
        messages=(list[_MessageContract], Field(min_length=1, alias=key)),
    )
    for key in KEYS
}


class ChatRows:
    """Judge conversations; they are written under the key that the model's script reads."""

    def __init__(self, written_key: str, *, system_messages: bool) -> None:
        """Write conversations under `written_key`, one of KEYS; `system_messages` are allowed or not."""
        self._system_messages = system_messages
        self._legal = _LEGAL_WITH_SYSTEM if system_messages else _LEGAL
        self._written_key = written_key
        self._key = written_key
        """The key that the last block had: where to begin with the next."""

    def accept(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Any] | None:
        """Return the typed rows when every line is surely good as it is."""
        try:
            rows = self._decoded(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if len(rows) != len(ends) or not one_a_line(block, ends):
            return None
        conversations = list(map(_messages, rows))
        if not self._legal.issuperset([tuple(map(_role, messages)) for messages in conversations]):
            return None
        if any(map(str.isspace, map(_content, chain.from_iterable(conversations)))):
            return None
        if not has_only(len(ends) + 4 * sum(map(len, conversations)), block):
            return None
        # Where the key is to be replaced, it must be spelled plainly in every line.
        plain = self._key == self._written_key or block.count(b'"%b":' % self._key.encode()) == len(ends)
        return rows if plain else None

    def _decoded(self, block: bytes) -> list[Any]:
        try:
            return _DECODERS[self._key].decode_lines(block)
        except msgspec.ValidationError:
            head = block[: block.find(b"\n")]
            other = next((key for key in KEYS if key != self._key and f'"{key}":'.encode() in head), None)
            if other is None:
                raise
            rows: list[Any] = _DECODERS[other].decode_lines(block)
            self._key = other
            return rows

    def glance(self, line: bytes) -> Any | str | None:
        """Return the typed row, the code of a sure fault, or None."""
        key = self._key
        if not line.startswith(_BEGINNINGS[key]):
            key = next((key for key in KEYS if f'"{key}":'.encode() in line), key)
        try:
            row = _DECODERS[key].decode(line)
        except RecursionError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # A fault of the whole object may be another key's, or a harmless one.
            in_message = not isinstance(error, msgspec.ValidationError) or f"$.{key}[" in str(error)
            return sure_fault(error, _SURE_FAULTS) if in_message else None
        roles = tuple(map(_role, row.messages))
        if roles not in self._legal:
            flaw = _order_flaw(key, roles)
            return flaw.code if flaw else None
        if not has_only(1 + 4 * len(roles), line):
            return None
        if any(map(str.isspace, map(_content, row.messages))):
            return "data.empty-content"
        return row if (key == self._written_key or line.count(f'"{key}":'.encode()) == 1) else None

    def judge(self, line: bytes) -> Judged:
        """Judge one line exactly."""
        document = parse(line)
        if isinstance(document, Flaw):
            return Judged(None, b"", (document,))
        keys = [key for key in KEYS if key in document]
        if len(keys) != 1:
            return Judged(None, b"", (_several_keys(keys) if keys else _no_key(document),))
        if flaws := _flaws(document, keys[0]):
            return Judged(None, b"", flaws)
        conversation = document[keys[0]]
        if not isinstance(conversation, list):
            raise TypeError("the contract let through what is no list")
        messages = [each for each in conversation if isinstance(each, dict)]
        if flaw := _order_flaw(keys[0], [str(each["role"]) for each in messages]):
            return Judged(None, b"", (flaw,))
        clean = {keys[0]: [{"role": each["role"], "content": each["content"]} for each in messages]}
        if messages[0]["role"] == "system" and not self._system_messages:
            message = "The model's chat template knows no system message."
            return Judged(None, b"", (Flaw("data.system-message", message, f"{keys[0]}[0].role"),))
        written = json.dumps(clean, ensure_ascii=False).encode() + b"\n"
        row = _DECODERS[keys[0]].decode(written)
        if measured := measured_by(document):
            row = _MeasuredConversation(row.messages, measured)
        return Judged(row, written, unread(document, keys))

    def written(self, text: bytes) -> bytes:
        """Return accepted lines with the key that the script reads."""
        # Text holds its quotes behind backslashes, so that nothing but a key matches.
        for key in KEYS:
            if key != self._written_key:
                text = text.replace(f'"{key}":'.encode(), f'"{self._written_key}":'.encode())
        return text

    def answers(self, rows: Sequence[Any]) -> list[str]:
        """Return the last answers."""
        return list(map(_content, map(_last, map(_messages, rows))))

    def blanks(self, rows: Sequence[Any], *, surely_led: bool) -> Mapping[str, NDArray[np.int64]]:
        """Return nothing: of a good row nothing is blank."""
        del rows, surely_led
        return {}

    def texts(self, row: Any) -> list[str]:
        """Return the contents of all messages."""
        return [message.content for message in row.messages]

    def held_out(self, row: Any) -> Mapping[str, object]:
        """Return the conversation up to the last answer, that answer, and what groups the row."""
        *asked, answer = row.messages
        return {
            "messages": [{"role": message.role, "content": message.content} for message in asked],
            "completion": answer.content,
            **getattr(row, "measured_by", {}),
        }


def _several_keys(keys: Sequence[str]) -> Flaw:
    return Flaw("data.mixed-message-keys", f"The row has {' and '.join(map(quoted, keys))}.", ", ".join(keys))


def _no_key(document: Mapping[str, JsonValue]) -> Flaw:
    return Flaw("data.no-messages", f"The row has no conversation; it has {named(document)}.")


def _order_flaw(key: str, roles: Sequence[str]) -> Flaw | None:
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


def _flaws(document: dict[str, JsonValue], key: str) -> tuple[Flaw, ...]:
    """Hold a conversation against its contract: the first part that has flaws tells them."""
    conversation = document[key]
    if not isinstance(conversation, list):
        return faults(document, _CONTRACTS[key], _worded)
    for start in range(0, len(conversation) or 1, _MESSAGES_AT_ONCE):

        def worded(error: ErrorDetails, _: dict[str, JsonValue], start: int = start) -> Flaw:
            placed = error.copy()
            name, *place = error["loc"]
            if place:
                placed["loc"] = (name, start + int(place[0]), *place[1:])
            return _worded(placed, document)

        part = list(map(_bounded, conversation[start : start + _MESSAGES_AT_ONCE]))
        if flaws := faults({key: part}, _CONTRACTS[key], worded):
            return flaws
    return ()


def _bounded(message: JsonValue) -> JsonValue:
    """Leave keys that are too many out of a message: the contract takes a kilobyte, and its time, for each of them."""
    if not isinstance(message, dict) or len(message) <= _KEYS_AT_MOST:
        return message
    first = {key: message[key] for key in islice(message, _KEYS_AT_MOST)}
    return first | {key: message[key] for key in _MessageContract.model_fields if key in message}


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
            return Flaw("data.unknown-role", "The role is none that training knows.", path, excerpt=shown(value))
        case "string_pattern_mismatch", _:
            return Flaw("data.empty-content", "The message is empty.", path)
        case "string_type", _:
            return Flaw("data.not-text", f"The content is {_kind(value)}.", path, excerpt=shown(value))
        case "too_short", _:
            return Flaw("data.no-messages", "The conversation has no message.", path)
        case "list_type", _:
            return Flaw("data.not-a-list", f"The conversation is {_kind(value)}.", path, excerpt=shown(value))
    return Flaw("data.not-a-message", f"The message is {_kind(value)}.", path, excerpt=shown(value))


def _message(document: Mapping[str, Any], place: tuple[int | str, ...]) -> Mapping[str, Any]:
    messages = document.get(str(place[0]))
    index = place[1] if len(place) > 1 else None
    message = messages[index] if isinstance(messages, list) and isinstance(index, int) else {}
    return message if isinstance(message, dict) else {}


def _kind(value: Any) -> str:
    return kind_of(value)
