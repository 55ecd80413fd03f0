"""Tune a language model on a CPU: LoRA adapters, or all weights."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from hyperparameters import LORA, Hyperparameters
from instructions import Example, L, batches
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from pictures import Pictures
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

_LOG_LINES_PER_EPOCH = 20
# What llama-recipes, on which JumpStart's script is built, multiplies the learning rate by after each epoch.
_LEARNING_RATE_DECAY = 0.85
_MAX_GRADIENT_NORM = 1.0  # the default of Hugging Face's trainer, on which JumpStart's scripts with peft_type are built


class DivergedError(ArithmeticError):
    """Report a loss that is no longer a number."""


class Objective(Protocol):
    """Say what is to be made small.

    Attributes:
        likelihood: whether the loss is a mean negative log-likelihood, so that its exponential is a perplexity.
    """

    likelihood: ClassVar[bool]

    def loss(self, model: PeftModel | PreTrainedModel, batch: Sequence[Any]) -> tuple[torch.Tensor, int]:
        """Return the mean loss of a batch, and over how many things it is the mean."""
        ...


@dataclass(frozen=True)
class NextToken:
    """Learn to say the tokens that are to be learnt.

    Attributes:
        pictures: turns the pictures of examples into what a vision model reads.
    """

    likelihood: ClassVar[bool] = True

    pictures: Pictures | None = None

    def loss(self, model: PeftModel | PreTrainedModel, batch: Sequence[Example]) -> tuple[torch.Tensor, int]:
        """Return the mean loss over the tokens to be learnt, and their number."""
        return batch_loss(model, batch, self.pictures)


def tune(
    model: PreTrainedModel,
    training: Sequence[L],
    validation: Sequence[L],
    settings: Hyperparameters,
    log: Callable[[str], None],
    objective: Objective,
) -> PreTrainedModel:
    """Train and return the model of the best epoch in bfloat16, LoRA adapters merged into its weights.

    The best epoch is the one with the lowest validation loss; the last one when there is nothing to validate on.

    Args:
        model: the base model, in float32; changed in place.
        training: examples to learn from.
        validation: examples to choose the epoch by, maybe none.
        settings: hyperparameters.
        log: takes the lines of the training log, among them JumpStart's metrics.
        objective: what is learnt from them.

    Raises:
        DivergedError: when a loss is infinite or not a number.
        ValueError: when target_modules names a layer that the model does not have.
    """
    torch.manual_seed(settings.seed)
    order = random.Random(settings.seed)  # noqa: S311 - repeatable, not secret
    adapted = _with_adapters(model, settings) if settings.peft_type == LORA else model
    weights = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.0)
    decay = _LEARNING_RATE_DECAY if settings.peft_type == LORA else 1.0
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=decay)
    best_loss = math.inf
    best = _state(adapted)
    for epoch in range(1, settings.epoch + 1):
        cut = batches(training, settings.per_device_train_batch_size, order)
        _train_epoch(adapted, cut, optimizer, epoch, settings, log, objective)
        schedule.step()
        cut = batches(validation, settings.per_device_eval_batch_size, order)
        loss = _evaluate(adapted, cut, log, objective) if validation else 0.0
        if loss < best_loss or not validation:
            best_loss = loss
            best = {name: weight.clone() for name, weight in _state(adapted).items()}
    if not isinstance(adapted, PeftModel):
        adapted.load_state_dict(best)
        return adapted.to(torch.bfloat16)
    set_peft_model_state_dict(adapted, best)
    # Merging in float32 rounds the sum of weight and adapter once, not each of them.
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged.to(torch.bfloat16)


def _with_adapters(model: PreTrainedModel, settings: Hyperparameters) -> PeftModel:
    return get_peft_model(
        model,
        LoraConfig(
            r=settings.lora_r,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=settings.target_modules.split(","),
            task_type="CAUSAL_LM",
        ),
    )


def _state(model: PeftModel | PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the weights that training changes."""
    return get_peft_model_state_dict(model) if isinstance(model, PeftModel) else model.state_dict()


def _train_epoch(
    model: PeftModel | PreTrainedModel,
    cut: Sequence[Sequence[L]],
    optimizer: torch.optim.Optimizer,
    epoch: int,
    settings: Hyperparameters,
    log: Callable[[str], None],
    objective: Objective,
) -> None:
    model.train()
    started = time.monotonic()
    every = max(1, len(cut) // _LOG_LINES_PER_EPOCH)
    total, targets = 0.0, 0
    for step, batch in enumerate(cut, start=1):
        loss, count = objective.loss(model, batch)
        loss.backward()
        if settings.peft_type != LORA:
            torch.nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        value = loss.item()
        if not math.isfinite(value):
            msg = f"the loss is {value} at step {step} of epoch {epoch}: try a lower learning_rate"
            raise DivergedError(msg)
        total, targets = total + value * count, targets + count
        if step % every == 0 or step == len(cut):
            log(f"Training Epoch: {epoch}/{settings.epoch}, step {step}/{len(cut)} completed (loss: {value:.6f})")
    mean = total / targets
    perplexity = f"train_perplexity={_perplexity(mean)}, " if objective.likelihood else ""
    log(f"Epoch {epoch}: {perplexity}train_epoch_loss={mean:.6f}, epoch time {time.monotonic() - started:.1f}s")


@torch.no_grad()
def _evaluate(
    model: PeftModel | PreTrainedModel,
    cut: Sequence[Sequence[L]],
    log: Callable[[str], None],
    objective: Objective,
) -> float:
    model.eval()
    total, targets = 0.0, 0
    for batch in cut:
        loss, count = objective.loss(model, batch)
        total, targets = total + loss.item() * count, targets + count
    mean = total / targets
    if not math.isfinite(mean):
        msg = f"the validation loss is {mean}: try a lower learning_rate"
        raise DivergedError(msg)
    # Printed as the tensors that JumpStart's script prints, and never in scientific notation: its metric regexes read
    # digits and dots only.
    perplexity = f"eval_ppl=tensor({_perplexity(mean)}) " if objective.likelihood else ""
    log(f"{perplexity}eval_epoch_loss=tensor({mean:.6f})")
    return mean


def _perplexity(loss: float) -> str:
    return f"{math.exp(min(loss, 50.0)):.4f}"


def batch_loss(
    model: PeftModel | PreTrainedModel, batch: Sequence[Example], pictures: Pictures | None = None
) -> tuple[torch.Tensor, int]:
    """Return the mean loss of a batch over the tokens to be learnt, and their number."""
    losses, _ = _token_losses(model, batch, pictures)
    return losses.mean(), len(losses)


def log_probabilities(model: PeftModel | PreTrainedModel, batch: Sequence[Example]) -> torch.Tensor:
    """Return, for each example, the logarithm of the probability that the model says all that is to be learnt of it."""
    losses, row = _token_losses(model, batch, None)
    return torch.zeros(len(batch)).index_add(0, row, -losses)


def _token_losses(
    model: PeftModel | PreTrainedModel, batch: Sequence[Example], pictures: Pictures | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of every token to be learnt, and the number of its example in the batch."""
    width = max(example.length for example in batch)
    padding = [width - example.length for example in batch]
    ids = torch.tensor([example.tokens + (0,) * pad for example, pad in zip(batch, padding, strict=True)])
    learnt = torch.tensor([example.learnt + (False,) * pad for example, pad in zip(batch, padding, strict=True)])
    lengths = torch.tensor([example.length for example in batch])
    mask = (torch.arange(width) < lengths[:, None]).long()
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    seen = pictures.inputs(batch, width) if pictures else {}
    hidden = base.model(input_ids=ids, attention_mask=mask, use_cache=False, **seen)[0]
    targets = learnt[:, 1:]
    # Of all layers the last is the widest by far (the vocabulary), so it sees only the places that count.
    logits = base.lm_head(hidden[:, :-1][targets])
    return cross_entropy(logits, ids[:, 1:][targets], reduction="none"), targets.nonzero()[:, 0]
