"""Pairs of answers for direct preference optimisation: what is asked, the answer to prefer, and the one to avoid.

AWS reads two forms, texts and whole conversations. A dataset has one of them: a reader that infers the type of each
column of a file would fail on the other.
https://docs.aws.amazon.com/sagemaker/latest/dg/customizing-models-dpo.html
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from tunedrop.domain.strict_json import JsonValue, kind_of, quoted
from tunedrop.domain.technique import OPENAI_PAIR, is_conversation
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Judged
from tunedrop.validation.rows.json_lines import (
    dotted,
    faults,
    has_only,
    measured_by,
    named,
    parse,
    shown,
    unread,
)
from tunedrop.validation.rows.messages import (
    LEGAL_WITH_SYSTEM,
    SURE_FAULTS,
    Messages,
    conversation_flaws,
    order_flaw,
)
from tunedrop.validation.rows.typed_lines import TypedLines

ANSWERS = ("chosen", "rejected")

_ROWS_LOOKED_AT = 100

_TEXTS = ("prompt", *ANSWERS)

_IN_MESSAGES = tuple(f"$.{answer}[" for answer in ANSWERS)

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


def has_conversations(lines: Iterable[bytes]) -> bool:
    """Tell which form most of the first rows have: lists of messages, or texts."""
    forms = Counter(
        _is_conversation(document)
        for line in islice(lines, _ROWS_LOOKED_AT)
        if not isinstance(document := parse(line), Flaw) and not document.keys().isdisjoint(ANSWERS)
    )
    return forms[True] > forms[False]


class _TextPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    prompt: _NonEmpty
    chosen: _NonEmpty
    rejected: _NonEmpty
    system: _NonEmpty | msgspec.UnsetType = msgspec.UNSET


class _MeasuredTextPair(_TextPair, frozen=True, gc=False, kw_only=True):
    """Add what the evaluation groups the pair by."""

    measured_by: dict[str, object]


_said = attrgetter(*_TEXTS)


class _TextContract(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt: str
    chosen: str
    rejected: str
    system: str = ""


class TextPairs(TypedLines):
    """Judge pairs of texts: `prompt`, `chosen`, `rejected`, and maybe `system`."""

    _decoder = msgspec.json.Decoder(_TextPair)

    def _are_good(self, rows: Sequence[Any], block: bytes) -> bool:
        if any(map(str.isspace, chain.from_iterable(map(_said, rows)))):
            return False
        if any(_alike(row.chosen, row.rejected) for row in rows):
            return False
        systems = [system for row in rows for system in _system(row)]
        return not any(map(str.isspace, systems)) and has_only(2 * (len(_TEXTS) * len(rows) + len(systems)), block)

    def judge(self, line: bytes) -> Judged:
        """Judge one line exactly."""
        document = parse(line)
        if isinstance(document, Flaw):
            return Judged(None, b"", (document,))
        if _is_conversation(document):
            return _of_the_other_form("messages", "texts")
        if flaws := faults(document, _TextContract, _worded):
            return Judged(None, b"", flaws)
        texts = {field: str(document[field]) for field in _TEXTS}
        if not texts["prompt"].strip():
            return Judged(None, b"", (Flaw("data.empty-prompt", "The row has an empty prompt.", "prompt"),))
        for answer in ANSWERS:
            if not texts[answer].strip():
                flaw = Flaw("data.empty-completion", f"The {answer} answer is empty.", answer)
                return Judged(None, b"", (flaw,))
        if _alike(texts["chosen"], texts["rejected"]):
            return Judged(None, b"", (_same("rejected"),))
        # Many tables have an empty one in each row: said to a model, it would be a system message all the same.
        if str(document.get("system", "")).strip():
            texts["system"] = str(document["system"])
        measured = measured_by(document)
        row = _MeasuredTextPair(**texts, measured_by=measured) if measured else _TextPair(**texts)
        written = json.dumps(texts, ensure_ascii=False).encode() + b"\n"
        return Judged(row, written, unread(document, (*_TEXTS, "system")))

    def answers(self, rows: Sequence[Any]) -> list[str]:
        """Return the answers to prefer."""
        return [row.chosen for row in rows]

    def texts(self, row: Any) -> list[str]:
        """Return the system message, if there is one, the prompt, and both answers."""
        return [*_system(row), *_said(row)]

    def held_out(self, row: Any) -> Mapping[str, object]:
        """Return what is asked, the answer to prefer as the one that is right, and what groups the row."""
        asked: dict[str, object] = {"prompt": row.prompt}
        if system := _system(row):
            messages = [*(("system", each) for each in system), ("user", row.prompt)]
            asked = {"messages": [{"role": role, "content": content} for role, content in messages]}
        return asked | {"completion": row.chosen} | getattr(row, "measured_by", {})


class _ConversationPair(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    chosen: Messages
    rejected: Messages


class _MeasuredConversationPair(_ConversationPair, frozen=True, gc=False):
    """Add what the evaluation groups the pair by."""

    measured_by: dict[str, object]


class ConversationPairs(TypedLines):
    """Judge pairs of whole conversations, `chosen` and `rejected`, that differ in their last answer alone."""

    _decoder = msgspec.json.Decoder(_ConversationPair)
    _sure_faults = SURE_FAULTS

    def _are_good(self, rows: Sequence[Any], block: bytes) -> bool:
        conversations = [conversation for row in rows for conversation in (row.chosen, row.rejected)]
        if not LEGAL_WITH_SYSTEM.issuperset([tuple(message.role for message in each) for each in conversations]):
            return False
        if any(message.content.isspace() for each in conversations for message in each):
            return False
        for row in rows:
            if row.chosen[:-1] != row.rejected[:-1] or _alike(row.chosen[-1].content, row.rejected[-1].content):
                return False
        return has_only(len(conversations) + 4 * sum(map(len, conversations)), block)

    def _sure_fault(self, line: bytes, error: Exception) -> str | None:
        # A fault of the whole object may be a harmless one.
        in_message = not isinstance(error, msgspec.ValidationError) or any(map(str(error).count, _IN_MESSAGES))
        return super()._sure_fault(line, error) if in_message else None

    def judge(self, line: bytes) -> Judged:
        """Judge one line exactly."""
        document = parse(line)
        if isinstance(document, Flaw):
            return Judged(None, b"", (document,))
        if missing := [answer for answer in ANSWERS if answer not in document]:
            return Judged(None, b"", (_lacks(missing, document),))
        if any(isinstance(document[answer], str) for answer in ANSWERS):
            return _of_the_other_form("texts", "messages")
        clean: dict[str, list[dict[str, str]]] = {}
        for answer in ANSWERS:
            if flaws := conversation_flaws(document, answer):
                return Judged(None, b"", flaws)
            clean[answer] = _clean(document[answer])
            if flaw := order_flaw(answer, [message["role"] for message in clean[answer]]):
                fix = _OF_ANSWERS_ALONE if is_conversation(document.get("prompt")) else ""
                return Judged(None, b"", (flaw._replace(fix=fix),))
        if flaw := _difference(clean["chosen"], clean["rejected"]):
            return Judged(None, b"", (flaw,))
        written = json.dumps(clean, ensure_ascii=False).encode() + b"\n"
        row = self._decoder.decode(written)
        if measured := measured_by(document):
            row = _MeasuredConversationPair(row.chosen, row.rejected, measured)
        return Judged(row, written, unread(document, ANSWERS))

    def answers(self, rows: Sequence[Any]) -> list[str]:
        """Return the last of the messages to prefer."""
        return [row.chosen[-1].content for row in rows]

    def texts(self, row: Any) -> list[str]:
        """Return the contents of both conversations."""
        return [message.content for message in (*row.chosen, *row.rejected)]

    def held_out(self, row: Any) -> Mapping[str, object]:
        """Return the conversation up to the last answer, the one to prefer, and what groups the row."""
        *asked, answer = row.chosen
        return {
            "messages": [{"role": message.role, "content": message.content} for message in asked],
            "completion": answer.content,
            **getattr(row, "measured_by", {}),
        }


def _is_conversation(document: Mapping[str, JsonValue]) -> bool:
    return any(isinstance(document.get(answer), list) for answer in ANSWERS)


def _system(row: Any) -> list[str]:
    return [] if row.system is msgspec.UNSET else [row.system]


def _clean(conversation: JsonValue) -> list[dict[str, str]]:
    if not isinstance(conversation, list):
        raise TypeError("the contract let through what is no list")
    messages = [each for each in conversation if isinstance(each, dict)]
    return [{"role": str(each["role"]), "content": str(each["content"])} for each in messages]


def _alike(chosen: str, rejected: str) -> bool:
    """Tell whether nothing but white space around them sets two answers apart."""
    return chosen.strip() == rejected.strip()


def _difference(chosen: Sequence[Mapping[str, str]], rejected: Sequence[Mapping[str, str]]) -> Flaw | None:
    """Find what keeps two conversations from being a pair: they share everything but the last answer."""
    shared = min(len(chosen), len(rejected)) - 1
    parted = next((index for index in range(shared) if chosen[index] != rejected[index]), None)
    if parted is None and len(chosen) != len(rejected):
        parted = shared
    if parted is not None:
        message = "The rejected conversation differs from the chosen one before the last answer."
        return Flaw("data.different-prompts", message, f"rejected[{parted}]")
    if _alike(chosen[-1]["content"], rejected[-1]["content"]):
        return _same(f"rejected[{len(rejected) - 1}].content")
    return None


def _same(path: str) -> Flaw:
    return Flaw("data.same-answers", "The chosen answer and the rejected one are the same.", path)


def _of_the_other_form(held: str, expected: str) -> Judged:
    message = f"The row's answers are {held}, where those of most rows are {expected}."
    return Judged(None, b"", (Flaw("data.mixed-pairs", message, "chosen"),))


_OF_ANSWERS_ALONE = (
    "Write the messages of prompt into both conversations, by jq's filter "
    "{chosen: (.prompt + .chosen), rejected: (.prompt + .rejected)}."
)
_OF_OPENAI = (
    "Write OpenAI's pairs as two conversations, by jq's filter {chosen: (.input.messages + .preferred_output), "
    "rejected: (.input.messages + .non_preferred_output)}."
)


def _lacks(missing: Sequence[str], document: Mapping[str, JsonValue]) -> Flaw:
    message = f"The row lacks {named(missing)}; it has {named(document)}."
    fix = _OF_OPENAI if document.keys() >= OPENAI_PAIR else ""
    return Flaw("data.missing-field", message, named(missing), fix=fix)


def _worded(error: ErrorDetails, document: dict[str, JsonValue]) -> Flaw:
    field = str(error["loc"][0])
    if error["type"] == "missing":
        return _lacks([each for each in _TEXTS if each not in document], document)
    value = document[field]
    message = f"The row holds {kind_of(value)} in {quoted(field)}."
    return Flaw("data.not-text", message, dotted(error["loc"]), excerpt=shown(value))
