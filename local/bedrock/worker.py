"""Serve one model in a process of its own: one JSON request a line on standard input, JSON answers a line each out.

Requests that wait while a batch is generated form the next batch. The process ends when its input does.
"""

from __future__ import annotations

import base64
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

# Threads that spin while they wait starve the engine's other processes on the same cores. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from jinja2 import TemplateError
from PIL import Image, UnidentifiedImageError

from local.bedrock.language_model import LanguageModel, Listener, Piece, Prompt

_GATHER_SECONDS = 0.02


class InvalidPromptError(Exception):
    """Report a prompt that this model cannot be asked."""


def serve(model: LanguageModel, batch_size: int, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more.

    A request is `{"id", "messages" | "prompt", "max_tokens", "temperature", "top_p", "stop_sequences"}` and
    maybe `"logprobs"`, `"top_logprobs"`, `"stream"`; its answer `{"id"}` with either the members of Answer or
    `"invalid"`: why the prompt cannot be asked. Where `"stream"` is true, `{"id", "piece"}` with the members of Piece
    come before the answer, as they are generated. The content of a message is a text, or a list of
    `{"type": "text", "text"}` and `{"type": "image", "data"}` with the picture's file in base64.
    """
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def read() -> None:
        for line in requests:
            waiting.put(json.loads(line))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    for batch in _batches(waiting, batch_size):
        prompts: dict[str, Prompt] = {}
        listeners: list[Listener | None] = []
        for request in batch:
            try:
                prompts[request["id"]] = _prompt(model, request)
            except InvalidPromptError as error:
                _send(answers, {"id": request["id"], "invalid": str(error)})
            else:
                listeners.append(partial(_send_piece, answers, request["id"]) if request.get("stream") else None)
        if prompts:
            for identifier, answer in zip(prompts, model.generate(list(prompts.values()), listeners), strict=True):
                _send(answers, {"id": identifier, **asdict(answer)})


def _batches(waiting: queue.Queue[dict[str, Any] | None], size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield what has arrived, at least one request and at most `size`, until the end of input."""
    while (first := waiting.get()) is not None:
        batch = [first]
        while len(batch) < size:
            try:
                # Callers that were answered together come back together: a moment's patience keeps batches full.
                request = waiting.get(timeout=_GATHER_SECONDS)
            except queue.Empty:
                break
            if request is None:
                waiting.put(None)
                break
            batch.append(request)
        yield batch


def _prompt(model: LanguageModel, request: dict[str, Any]) -> Prompt:
    pictures = tuple(_pictures(request.get("messages", [])))
    try:
        tokens = model.render(request["messages"]) if "messages" in request else model.encode(request["prompt"])
    except TemplateError as error:
        raise InvalidPromptError(str(error)) from error
    if model.image_tokens(tokens) != len(pictures):
        msg = "The number of image tokens in the prompt is not the number of images."
        raise InvalidPromptError(msg)
    room = model.context_length - len(tokens)
    if room <= 0:
        msg = "Input is too long for requested model."
        raise InvalidPromptError(msg)
    if not tokens:
        msg = "The prompt is empty."
        raise InvalidPromptError(msg)
    return Prompt(
        tokens=tokens,
        max_tokens=min(request["max_tokens"], room),
        temperature=request["temperature"],
        top_p=request["top_p"],
        stop_sequences=tuple(request["stop_sequences"]),
        pictures=pictures,
        logprobs=request.get("logprobs", False),
        top_logprobs=request.get("top_logprobs", 0),
    )


def _pictures(messages: Sequence[Mapping[str, Any]]) -> Iterator[Image.Image]:
    """Yield the pictures of a conversation, in order."""
    for message in messages:
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "image":
                try:
                    picture = Image.open(io.BytesIO(base64.b64decode(part["data"], validate=True)))
                    picture.load()
                except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
                    msg = "Could not process image"
                    raise InvalidPromptError(msg) from error
                yield picture


def _send_piece(answers: TextIO, identifier: str, piece: Piece) -> None:
    _send(answers, {"id": identifier, "piece": asdict(piece)})


def _send(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    """Load the model of the folder in the first argument and serve it; the second argument is the batch size."""
    folder, batch_size = sys.argv[1:]
    # Answers have standard output to themselves: libraries print there too.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    model = LanguageModel(Path(folder))
    _send(answers, {"id": "ready"})
    serve(model, int(batch_size), sys.stdin, answers)


if __name__ == "__main__":
    main()
