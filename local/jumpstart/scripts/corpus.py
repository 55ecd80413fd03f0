"""Running text as blocks of token ids, for domain adaptation."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instructions import DataError, Example, json_lines

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_COLUMN = "text"


def read_corpus(folder: Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[Example]:
    """Read the one text file of a folder as blocks that are learnt whole.

    Every text ends with the end-of-sequence token; the texts follow one another without a gap, and are cut every
    `max_length` tokens, the last block where they end.

    Args:
        folder: a channel with one file: `.txt` is one text; in `.csv` and `.json` (an array or one object a line)
            the texts are the values of `text`, or else of the first column.
        tokenizer: the base model's.
        max_length: tokens of a block.

    Raises:
        DataError: when there is no such file, or more than one, or it cannot be read or holds no text.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _READERS)
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "none"
        msg = f"the channel {folder.name} must hold one .txt, .csv or .json file, and holds {found}"
        raise DataError(msg)
    texts = [text for text in _READERS[files[0].suffix](files[0]) if text.strip()]
    if not texts:
        msg = f"{files[0].name} holds no text"
        raise DataError(msg)
    tokens = [token for ids in tokenizer(texts)["input_ids"] for token in (*ids, tokenizer.eos_token_id)]
    return [
        Example.joined([(tokens[start : start + max_length], True)], max_length)
        for start in range(0, len(tokens), max_length)
    ]


def _text_file(file: Path) -> Iterator[str]:
    try:
        yield file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{file.name} is not UTF-8: {error}"
        raise DataError(msg) from error


def _csv_file(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", newline="") as lines:
        table = csv.DictReader(lines)
        try:
            yield from _column((row, f"{file.name}, line {table.line_num}") for row in table)
        except (csv.Error, UnicodeDecodeError) as error:
            msg = f"{file.name}, line {table.line_num} is not CSV: {error}"
            raise DataError(msg) from error


def _json_file(file: Path) -> Iterator[str]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        document = None  # several documents, one a line
    if isinstance(document, list):
        records = [(record, f"{file.name}, record {number}") for number, record in enumerate(document, start=1)]
        yield from _column(records)
    else:
        yield from _column(json_lines(file))


_READERS: Mapping[str, Callable[[Path], Iterator[str]]] = {".txt": _text_file, ".csv": _csv_file, ".json": _json_file}


def _column(records: Iterable[tuple[Any, str]]) -> Iterator[str]:
    for record, where in records:
        fields = record if isinstance(record, dict) else {}
        text = fields.get(_COLUMN, next(iter(fields.values()), None))
        if not isinstance(text, str):
            msg = f"{where} has no text in 'text' or its first column"
            raise DataError(msg)
        yield text
