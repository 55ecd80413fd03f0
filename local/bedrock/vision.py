"""Pictures as Llama's vision models (Mllama) read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL.Image import Image
from transformers import AutoImageProcessor
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

_PICTURE_INPUTS = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
_MASK = "cross_attention_mask"


class Vision:
    """Prepare pictures for a model.

    Args:
        folder: the model's, with the settings of its image processor.
        image_token: the id of the token that stands for a picture.
    """

    def __init__(self, folder: Path, image_token: int) -> None:
        self._processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
        self._image_token = image_token

    def image_tokens(self, tokens: Sequence[int]) -> int:
        """Return how many of the tokens stand for a picture."""
        return list(tokens).count(self._image_token)

    def inputs(self, tokens: Sequence[Sequence[int]], pictures: Sequence[Sequence[Image]]) -> dict[str, torch.Tensor]:
        """Return what the model reads beside the tokens of a batch: nothing when it has no pictures.

        Args:
            tokens: rows of one width.
            pictures: those of each row, one for each of its image tokens; either every row has some or none has.
        """
        if not any(pictures):
            return {}
        read = self._processor([list(each) for each in pictures], return_tensors="pt")
        # A token sees the pictures before it, up to the next one.
        mask = convert_sparse_cross_attention_mask_to_dense(
            [get_cross_attention_token_mask(list(row), self._image_token) for row in tokens],
            num_tiles=read["num_tiles"],
            max_num_tiles=self._processor.max_image_tiles,
            length=len(tokens[0]),
        )
        return {name: read[name] for name in _PICTURE_INPUTS} | {_MASK: torch.from_numpy(mask)}

    @staticmethod
    def next_inputs(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what the model reads beside the next token: the pictures themselves are in its cache by then."""
        return {_MASK: inputs[_MASK][:, -1:]} if inputs else {}
