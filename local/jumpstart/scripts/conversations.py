"""Conversations as token ids, rendered by the very chat template that the tuned model is served with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructions import DataError, Example, rows
from jinja2 import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEYS = ("dialog", "messages", "conversations")
_ROLES = frozenset({"system", "user", "assistant"})

# For a model that brings no chat template: the layout of instruction rows, turn by turn. What is read is tokenised
# without special tokens, so that BOS is spelled out where the tokenizer puts one.
_PLAIN_TEMPLATE = (
    "{{- %s -}}"
    "{%%- for message in messages -%%}"
    "{%%- if message['role'] == 'system' -%%}{{- message['content'] + '\\n\\n' -}}"
    "{%%- elif message['role'] == 'user' -%%}{{- message['content'] + '\\n\\n### Response:\\n' -}}"
    "{%%- else -%%}{{- message['content'] + eos_token -}}"
    "{%%- endif -%%}"
    "{%%- endfor -%%}"
)


def chat_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the tokenizer's own chat template, or a plain one where it has none."""
    if isinstance(tokenizer.chat_template, str):
        return tokenizer.chat_template
    begins = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return _PLAIN_TEMPLATE % ("bos_token" if begins else "''")


def read_conversations(folder: Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[Example]:
    """Read every `.jsonl` file of a folder; the assistant's turns are learnt, each with the token that ends it.

    What is read and what is learnt are tokenised apart and joined: at inference the conversation up to a turn of the
    assistant stands alone.

    Args:
        folder: a channel; a row is `{"dialog" | "messages" | "conversations": [{"role", "content"}, …]}`.
        tokenizer: the base model's.
        max_length: tokens; a longer conversation is cut at its end.

    Raises:
        DataError: when there is no row, or one that is no conversation or that the chat template refuses.
    """
    return [
        encode(messages_of(row, where), tokenizer, max_length=max_length, where=where)
        for row, where in rows(folder, "chat tuning")
    ]


def encode(
    messages: Sequence[dict[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    where: str,
    picture: Path | None = None,
) -> Example:
    """Return one conversation as an example.

    Args:
        messages: role and content of each turn, as the chat template takes them.
        tokenizer: the base model's.
        max_length: tokens; a longer conversation is cut at its end.
        where: the conversation's place, for messages.
        picture: the one that the conversation is about.

    Raises:
        DataError: when the chat template refuses the conversation.
    """
    template = chat_template(tokenizer)

    def render(turns: Sequence[dict[str, Any]], *, asking: bool) -> str:
        rendered = tokenizer.apply_chat_template(
            list(turns), chat_template=template, add_generation_prompt=asking, tokenize=False
        )
        return str(rendered)

    parts = list(_parts(messages, render, tokenizer.eos_token, where))
    ids = tokenizer([text for text, _ in parts], add_special_tokens=False)["input_ids"]
    marked = [(tokens, learnt) for tokens, (_, learnt) in zip(ids, parts, strict=True)]
    return Example.joined(marked, max_length, picture)


def messages_of(row: dict[str, Any], where: str) -> list[dict[str, str]]:
    """Return a row's conversation; raises DataError when it has none, or one without an answer."""
    messages = next((row[key] for key in _KEYS if key in row), None)
    if not isinstance(messages, list):
        msg = f"{where} has no list 'dialog', 'messages' or 'conversations'"
        raise DataError(msg)
    for number, message in enumerate(messages, start=1):
        match message:
            case {"role": str(role), "content": str()} if role in _ROLES:
                pass
            case _:
                msg = f"{where}: message {number} has no role of system, user or assistant, or no text as its content"
                raise DataError(msg)
    if all(message["role"] != "assistant" for message in messages):
        msg = f"{where} has no message of the assistant to learn"
        raise DataError(msg)
    return messages


def _parts(
    messages: Sequence[dict[str, Any]], render: Callable[..., str], end: str, where: str
) -> Iterator[tuple[str, bool]]:
    """Yield the conversation's text in parts: what is only read, what is learnt, and so on."""
    done = ""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        try:
            asked = render(messages[:number], asking=True)
            answered = render(messages[: number + 1], asking=False)
        except (TemplateError, TypeError) as error:  # the latter when it expects texts, and a content has pictures
            msg = f"{where}: the model's chat template refuses the conversation: {error}"
            raise DataError(msg) from error
        if not (asked.startswith(done) and answered.startswith(asked)):
            msg = f"{where}: the model's chat template renders a turn differently once another one follows it"
            raise DataError(msg)
        # What the template writes after the end token the model is never asked to say.
        stop = answered.rfind(end, len(asked))
        answer = answered[len(asked) : stop + len(end) if stop >= 0 else None]
        yield asked[len(done) :], False
        yield answer, True
        done = asked + answer
