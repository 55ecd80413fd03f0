"""Questions about pictures, and the pictures as a Llama vision model (Mllama) reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from conversations import encode
from instructions import DataError, Example, json_lines
from PIL import Image, UnidentifiedImageError
from transformers import AutoConfig, AutoImageProcessor
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_METADATA = "metadata.jsonl"
_FIELDS = ("file_name", "prompt", "completion")
_IMAGE_TOKEN = "<|image|>"  # noqa: S105 - Mllama's name of what stands for a picture
_KEPT_PICTURES = 2048  # a tile of 84 x 84 pixels takes 85 KB


def read_pictures(folder: Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[Example]:
    """Read `metadata.jsonl`; a row is one turn of a conversation about its picture, and its completion is learnt.

    Args:
        folder: a channel; a row is `{"file_name", "prompt", "completion"}`, the file's name relative to the folder.
        tokenizer: the base model's.
        max_length: tokens; a longer row is cut at its end.

    Raises:
        DataError: when there is no row, or one whose texts or picture are missing or cannot be read.
    """
    metadata = folder / _METADATA
    found = list(json_lines(metadata)) if metadata.is_file() else []
    if not found:
        msg = f"the channel {folder.name} holds no row: visual question answering reads {_METADATA}"
        raise DataError(msg)
    return [_example(folder, row, where, tokenizer, max_length) for row, where in found]


def _example(
    folder: Path, row: dict[str, Any], where: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Example:
    for field in _FIELDS:
        if not isinstance(row.get(field), str):
            msg = f"{where} has no text {field!r}"
            raise DataError(msg)
    picture = folder / row["file_name"]
    if not picture.resolve().is_relative_to(folder.resolve()) or not picture.is_file():
        msg = f"{where}: there is no picture {row['file_name']} in the channel"
        raise DataError(msg)
    try:
        Image.open(picture).close()
    except UnidentifiedImageError as error:
        msg = f"{where}: {row['file_name']} is not a picture that can be read"
        raise DataError(msg) from error
    question = [{"type": "image"}, {"type": "text", "text": row["prompt"]}]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": row["completion"]}]
    example = encode(turns, tokenizer, max_length=max_length, where=where, picture=picture)
    shown = example.tokens.count(tokenizer.convert_tokens_to_ids(_IMAGE_TOKEN))
    if shown != 1:
        msg = f"{where}: the prompt must hold {_IMAGE_TOKEN} once, where the chat template puts it, not {shown} times"
        raise DataError(msg)
    return example


class Pictures:
    """Turn the pictures of examples into the inputs of a vision model.

    Args:
        base_model: its folder, with the settings of its image processor.
    """

    def __init__(self, base_model: Path) -> None:
        self._processor = AutoImageProcessor.from_pretrained(base_model, backend="pil")
        self._image_token = AutoConfig.from_pretrained(base_model).image_token_index
        self._read = lru_cache(_KEPT_PICTURES)(self._process)

    def inputs(self, batch: Sequence[Example], width: int) -> dict[str, torch.Tensor]:
        """Return what the model reads beside the tokens of a batch that is padded to a width; each has a picture."""
        read = [self._read(example.picture) for example in batch]
        names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
        mask = convert_sparse_cross_attention_mask_to_dense(
            [get_cross_attention_token_mask(list(example.tokens), self._image_token) for example in batch],
            num_tiles=[each["num_tiles"][0] for each in read],
            max_num_tiles=self._processor.max_image_tiles,
            length=width,
        )
        return {name: torch.cat([each[name] for each in read]) for name in names} | {
            "cross_attention_mask": torch.from_numpy(mask)
        }

    def _process(self, picture: Path) -> Any:
        with Image.open(picture) as image:
            return self._processor(image, return_tensors="pt")
