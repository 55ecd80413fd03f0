"""What a training job will take and cost, before it is launched: a range, and what the range rests on.

No throughput of JumpStart's scripts is published, so hours come from arithmetic: the floating-point operations of a
token, over what the GPUs can do at best, times the share of it that training reaches. Every figure assumed is named
here and in the estimate's `basis`.
"""

from collections.abc import Mapping
from enum import StrEnum

from tunedrop.domain.accelerators import accelerator
from tunedrop.domain.cost_estimate import CostEstimate, Range, TokenCount
from tunedrop.domain.data_target import devices
from tunedrop.domain.model_size import ModelSize, model_size
from tunedrop.domain.pricing import Price

_TERA, _GIGA = 1e12, 1e9


class TuningMode(StrEnum):
    """Say what of the model is trained, which decides the work for a token."""

    FULL = "full fine-tuning"
    LORA = "LoRA"
    QUANTISED_LORA = "LoRA on quantised weights"


OPERATIONS = {TuningMode.FULL: 6, TuningMode.LORA: 4, TuningMode.QUANTISED_LORA: 4}
"""Floating-point operations for a parameter and token: 2 forward, 2 for the activations' gradients, 2 for the weights'.

LoRA computes no gradients of the frozen weights. Attention's own share is small at the lengths of training rows.
Kaplan et al. 2020, section 2.1: https://arxiv.org/abs/2001.08361
"""

RECOMPUTED = 2
"""What gradient checkpointing adds: a second forward pass."""

UTILISATION = {
    TuningMode.FULL: Range(low=0.10, likely=0.25, high=0.45),
    TuningMode.LORA: Range(low=0.10, likely=0.25, high=0.40),
    TuningMode.QUANTISED_LORA: Range(low=0.03, likely=0.08, high=0.20),
}
"""Share of the GPUs' peak that training reaches: assumed, 2026-11, not measured on AWS.

Good training code reaches 0.4 to 0.5; short rows, padding and small batches cost half of it. Quantised weights are
expanded for every product, and one process that spreads a model over GPUs keeps one of them busy at a time.
"""

START_UP_HOURS = Range(low=4 / 60, likely=8 / 60, high=15 / 60)
"""From the instance's start to the first row, without the weights: assumed."""

WEIGHTS_GB_PER_SECOND = Range(low=0.2, likely=0.5, high=1.0)
"""How fast the weights come and go: assumed. They are downloaded once and uploaded once, 2 bytes a parameter."""

BYTES_PER_TOKEN = Range(low=2.5, likely=4.0, high=5.0)
"""English has about 4 characters a token; code, numbers and other languages have fewer."""

TOKENS_PER_IMAGE = Range(low=200, likely=800, high=1600)
"""What an image costs, as tokens of text: assumed.

Llama 3.2 reads 1,601 patches of each of up to 4 tiles with an encoder that has about a tenth of the 11B's parameters.
https://huggingface.co/meta-llama/Llama-3.2-11B-Vision/blob/main/config.json
"""

NOTES = (
    "Not included: storage of the training volume and in S3, and retries after a lack of capacity.",
    (
        "Bedrock bills an imported model that answers by Custom Model Units: 0.0785 USD a unit and minute, in windows "
        "of 5 minutes, for each active copy (read 2026-10-05; the import tells how many units); storage of the model "
        "comes on top: https://aws.amazon.com/bedrock/pricing/"
    ),
)


def counted_tokens(tokens: int, *, images: int = 0) -> TokenCount:
    """Take the number that the model's own tokenizer gave."""
    text = Range(low=tokens, likely=tokens, high=tokens)
    return _with_images(text, images, f"{tokens:,} tokens an epoch by the model's tokenizer")


def guessed_tokens(size: int, *, images: int = 0) -> TokenCount:
    """Guess from the bytes of the files, their JSON included, for a model whose tokenizer cannot be read."""
    per_token = BYTES_PER_TOKEN
    text = Range(low=size / per_token.high, likely=size / per_token.likely, high=size / per_token.low)
    return _with_images(text, images, f"{size:,} bytes at about {per_token.likely:g} bytes a token")


def estimated_tokens(tokens: int, *, images: int = 0) -> TokenCount:
    """Take the number that the validator came to without the model's tokenizer, from the bytes of the rows' texts."""
    per_token = BYTES_PER_TOKEN
    text = Range(
        low=tokens * per_token.likely / per_token.high, likely=tokens, high=tokens * per_token.likely / per_token.low
    )
    return _with_images(text, images, f"about {tokens:,} tokens an epoch, estimated from the rows' texts")


def estimate(
    model_id: str,
    hyperparameters: Mapping[str, str],
    tokens: TokenCount,
    instance_type: str,
    price: Price | None,
    *,
    instance_count: int = 1,
) -> CostEstimate:
    """Estimate the job's billed hours and their price; `hyperparameters` are all of the job's, defaults included."""
    size, gpu, gpus = model_size(model_id), accelerator(instance_type), devices(instance_type)
    epochs = _epochs(hyperparameters)
    usd_per_hour = price.usd_per_hour * instance_count if price else None
    hours = None
    basis = [tokens.basis]
    if size is None:
        basis.append(f"No estimate: the name {model_id} does not tell how large the model is.")
    elif gpu is None or gpus is None:
        basis.append(f"No estimate: the GPUs of {instance_type} are not known.")
    elif epochs is None:
        basis.append("No estimate: the job has no number of epochs.")
    else:
        mode = tuning_mode(hyperparameters)
        operations = OPERATIONS[mode]
        if hyperparameters.get("gradient_checkpointing") == "True":
            operations += RECOMPUTED
        reached = UTILISATION[mode]
        hours = _hours(tokens, epochs, size, operations, reached, gpu.peak_tflops * gpus * instance_count)
        basis += [
            (
                f"{epochs:g} epochs of {mode}, {operations} operations for a token and each of "
                f"{size.active / _GIGA:g}B parameters"
            ),
            (
                f"{instance_count} x {instance_type}: {gpus} {gpu.name} of {gpu.peak_tflops:g} TFLOPS, of which "
                f"training reaches {reached.low:.0%} to {reached.high:.0%}, likely {reached.likely:.0%} (assumed)"
            ),
            (
                f"{START_UP_HOURS.low * 60:.0f} to {START_UP_HOURS.high * 60:.0f} minutes to start, and the time to "
                "download and upload the weights (assumed)"
            ),
        ]
    basis.append(price.words() if price else f"The price of {instance_type} is not known")
    return CostEstimate(
        tokens=tokens,
        epochs=epochs or 0,
        hours=hours,
        usd=hours.times(usd_per_hour) if hours and usd_per_hour is not None else None,
        usd_per_hour=usd_per_hour,
        basis=tuple(basis),
        notes=NOTES,
    )


def tuning_mode(hyperparameters: Mapping[str, str]) -> TuningMode:
    """Tell what is trained; a script that has no word for LoRA trains all, but for the Llama family's."""
    if hyperparameters.get("int8_quantization") == "True":
        return TuningMode.QUANTISED_LORA
    peft = hyperparameters.get("peft_type")
    if peft is not None and peft.lower() == "none":
        return TuningMode.FULL
    if peft is not None and hyperparameters.get("bits") in ("4", "8"):
        return TuningMode.QUANTISED_LORA
    # The vision scripts train by LoRA only; `chat_template` is what tells them apart from scripts without LoRA.
    lora = peft is not None or not {"lora_r", "enable_fsdp", "chat_template"}.isdisjoint(hyperparameters)
    return TuningMode.LORA if lora else TuningMode.FULL


def _with_images(text: Range, images: int, basis: str) -> TokenCount:
    seen = TOKENS_PER_IMAGE.times(images)
    return TokenCount(
        low=round(text.low + seen.low),
        likely=round(text.likely + seen.likely),
        high=round(text.high + seen.high),
        basis=f"{basis}, and {images:,} images like {TOKENS_PER_IMAGE.likely:g} tokens each" if images else basis,
    )


def _epochs(hyperparameters: Mapping[str, str]) -> float | None:
    text = hyperparameters.get("epoch", hyperparameters.get("epochs"))
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _hours(
    tokens: TokenCount, epochs: float, size: ModelSize, operations: int, reached: Range, peak_tflops: float
) -> Range:
    token_hours = epochs * operations * size.active / (peak_tflops * _TERA * 3600)
    weights_gb = 2 * 2 * size.total / _GIGA
    speed = WEIGHTS_GB_PER_SECOND
    return Range(
        low=START_UP_HOURS.low + weights_gb / speed.high / 3600 + tokens.low * token_hours / reached.high,
        likely=START_UP_HOURS.likely + weights_gb / speed.likely / 3600 + tokens.likely * token_hours / reached.likely,
        high=START_UP_HOURS.high + weights_gb / speed.low / 3600 + tokens.high * token_hours / reached.low,
    )
