"""Chat rows: one conversation a line, as messages with a role and a content."""

import io
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunedrop.domain.strict_json import JsonValue, quoted
from tunedrop.domain.technique import CONVERSATION_KEYS as KEYS
from tunedrop.domain.technique import is_conversation
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Judged, Rewritten, Skimmed
from tunedrop.validation.rows.fault_grammar import fault_grammar
from tunedrop.validation.rows.json_lines import (
    has_only,
    measured_by,
    named,
    one_a_line,
    parse,
    rewritten,
    strings_in,
    sure_fault,
    unread,
)
from tunedrop.validation.rows.line_grammar import STYLES, grammar
from tunedrop.validation.rows.messages import (
    LEGAL,
    LEGAL_WITH_SYSTEM,
    SURE_FAULTS,
    Messages,
    conversation_flaws,
    order_flaw,
)
from tunedrop.validation.rows.more_fields import MoreFields, Unsure, strings_of

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    key: msgspec.json.Decoder(
        msgspec.defstruct(
            "Conversation",
            [("messages", Messages)],
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

    messages: Messages
    measured_by: dict[str, object]


_BEGINNINGS = {key: f'{{"{key}":'.encode() for key in KEYS}

_encode = msgspec.json.Encoder().encode
"""Writes text as the exact judge does."""

_WRITTEN_ROLES = {role: b'{"role": "%b", "content": ' % role.encode() for role in ("system", "user", "assistant")}

_role, _content, _messages, _last = attrgetter("role"), attrgetter("content"), attrgetter("messages"), itemgetter(-1)


class ChatRows:
    """Judge conversations; they are written under the key that the model's script reads."""

    def __init__(self, written_key: str, *, system_messages: bool) -> None:
        """Write conversations under `written_key`, one of KEYS; `system_messages` are allowed or not."""
        self._system_messages = system_messages
        self._legal = LEGAL_WITH_SYSTEM if system_messages else LEGAL
        self._written_key = written_key
        self._key = written_key
        """The key that the last block had: where to begin with the next."""
        self._expressions = {
            style.field(key, b"["): (style, style.conversation(key, system_messages=system_messages))
            for key in KEYS
            for style in STYLES
        }
        """What conversations must be, by how they begin."""
        self._more_fields = {key: MoreFields({"messages": (key, Messages)}, never=KEYS) for key in KEYS}

    def skim(self, block: bytes, ends: NDArray[np.int64]) -> Skimmed | None:
        """Tell the good lines by an expression."""
        known = next((each for begin, each in self._expressions.items() if block.startswith(begin, 1)), None)
        return grammar(*known, b"}]}").skim(block, ends) if known else None

    def accept(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Any] | None:
        """Return the typed rows when every line is surely good as it is."""
        try:
            rows = self._decoded(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return rows if self._are_good(rows, block, ends) else None

    def first_faults(self, block: bytes, ends: NDArray[np.int64]) -> Mapping[int, str]:
        """Tell faults by an expression."""
        return fault_grammar(KEYS).first_faults(block, ends)

    def rewrite(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Rewritten] | None:
        """Return the rows without the fields that training does not read, when every one is surely good."""
        head = block[: block.find(b"\n")]
        keys = (self._key, *KEYS)
        self._key = key = next((key for key in keys if b'"%b":' % key.encode() in head), self._key)
        try:
            rows, others = self._more_fields[key].decode(block)
            more_strings = sum(map(strings_of, others))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unsure):
            return None
        if not self._are_good(rows, block, ends, more_strings):
            return None
        written = b'{"%b": [%%b}]}\n' % key.encode()
        return [
            rewritten(row, written % _clean(row) if more else raw, more, _with_measure)
            for row, more, raw in zip(rows, others, io.BytesIO(block), strict=True)
        ]

    def _are_good(self, rows: Sequence[Any], block: bytes, ends: NDArray[np.int64], more_strings: int = 0) -> bool:
        """Prove what types cannot say of rows, and that nothing else stands in their lines but so many strings."""
        if len(rows) != len(ends) or not one_a_line(block, ends):
            return False
        conversations = list(map(_messages, rows))
        if not self._legal.issuperset([tuple(map(_role, messages)) for messages in conversations]):
            return False
        if any(map(str.isspace, map(_content, chain.from_iterable(conversations)))):
            return False
        if not has_only(len(ends) + 4 * sum(map(len, conversations)) + more_strings, block):
            return False
        # Where the key is to be replaced, it must be spelled plainly in every line.
        return self._key == self._written_key or block.count(b'"%b":' % self._key.encode()) == len(ends)

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
            if not isinstance(error, msgspec.ValidationError) or f"$.{key}[" in str(error):
                return sure_fault(line, error, SURE_FAULTS)
            # A fault of the whole object may be another key's, or a harmless one.
            return _sure_fault_of_whole(line)
        roles = tuple(map(_role, row.messages))
        if roles not in self._legal:
            flaw = order_flaw(key, roles)
            return flaw.code if flaw else None
        if not has_only(1 + 4 * len(roles), line):
            return "data.duplicate-key" if strings_in(line) > 1 + 4 * len(roles) else None
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
        if flaws := conversation_flaws(document, keys[0]):
            return Judged(None, b"", flaws)
        conversation = document[keys[0]]
        if not isinstance(conversation, list):
            raise TypeError("the contract let through what is no list")
        messages = [each for each in conversation if isinstance(each, dict)]
        if flaw := order_flaw(keys[0], [str(each["role"]) for each in messages]):
            return Judged(None, b"", (flaw,))
        clean = {keys[0]: [{"role": each["role"], "content": each["content"]} for each in messages]}
        if messages[0]["role"] == "system" and not self._system_messages:
            message = "The model's chat template knows no system message."
            return Judged(None, b"", (Flaw("data.system-message", message, f"{keys[0]}[0].role"),))
        written = json.dumps(clean, ensure_ascii=False).encode() + b"\n"
        row = _DECODERS[keys[0]].decode(written)
        if measured := measured_by(document):
            row = _MeasuredConversation(row.messages, measured)
        remarks = unread(document, keys)
        if "system" in document:
            remarks = tuple(each._replace(fix=_OF_SYSTEM) for each in remarks)
        return Judged(row, written, remarks)

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


def _clean(row: Any) -> bytes:
    """Write the messages of a conversation, as the exact judge does."""
    return b"}, ".join([_WRITTEN_ROLES[each.role] + _encode(each.content) for each in row.messages])


def _with_measure(row: Any, measured: dict[str, object]) -> _MeasuredConversation:
    return _MeasuredConversation(row.messages, measured)


def _sure_fault_of_whole(line: bytes) -> str | None:
    """Return the code of a line that is no object, or one without a conversation; None for what may be good."""
    try:
        document = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return "data.not-an-object"
    conversations = [document[key] for key in KEYS if key in document]
    if len(conversations) != 1:
        return "data.mixed-message-keys" if conversations else "data.no-messages"
    if not isinstance(conversations[0], list):
        return "data.not-a-list"
    return None if conversations[0] else "data.no-messages"


_OF_SYSTEM = 'Write what system says as the first message: {"role": "system", "content": "..."}; it is left out.'


def _several_keys(keys: Sequence[str]) -> Flaw:
    return Flaw("data.mixed-message-keys", f"The row has {' and '.join(map(quoted, keys))}.", ", ".join(keys))


def _no_key(document: Mapping[str, JsonValue]) -> Flaw:
    message = f"The row has no conversation; it has {named(document)}."
    talk = next((name for name, value in document.items() if is_conversation(value)), None)
    fix = f'{quoted(talk)} holds one: call that key "messages".' if talk is not None else ""
    return Flaw("data.no-messages", message, fix=fix)
