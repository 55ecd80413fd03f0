"""Hyperparameters that cannot go together, asked of all that a job will be given, defaults included.

What a technique forces, and the choice between int8 and FSDP, is settled where the hyperparameters are chosen; here
is what only the whole of them tells, and what the model and the instance add.
"""

from collections.abc import Callable, Mapping

from tunedrop.domain.accelerators import family
from tunedrop.domain.model_size import model_size
from tunedrop.domain.problem import Problem

FSDP_LIMIT = 70_000_000_000
"""Parameters from which on the Llama scripts' FSDP fits no instance type that JumpStart supports.

See AWS's notebook `sm-jumpstart_foundation_llama_3_finetuning`:
https://github.com/aws/amazon-sagemaker-examples/tree/main/generative_ai
"""

_NO_BF16 = frozenset({"p3", "p3dn", "g4dn"})
"""Families whose GPUs, V100 and T4, are older than BF16. https://docs.nvidia.com/cuda/cuda-c-programming-guide/"""

_QUANTISED_BITS = frozenset({"4", "8"})


def contradictions(
    model_id: str, hyperparameters: Mapping[str, str], instance_type: str, where: Callable[[str], str]
) -> tuple[Problem, ...]:
    """Return what would fail after the instance has started; `where` locates a hyperparameter for the message."""

    def is_(name: str, value: str) -> bool:
        return hyperparameters.get(name, "").lower() == value.lower()

    size = model_size(model_id)
    found = []
    if is_("enable_fsdp", "True") and size and size.total >= FSDP_LIMIT:
        message = (
            f"FSDP holds a model of {size.total / 10**9:g}B parameters on no instance type that JumpStart supports."
        )
        fix = "Write `int8_quantization: True`, and leave enable_fsdp out."
        found.append(_problem("fsdp-size", message, where("enable_fsdp"), fix))
    if is_("instruction_tuned", "True") and is_("chat_dataset", "True"):
        message = "instruction_tuned and chat_dataset are both on; at most one of them may be."
        fix = "Leave both out: the technique sets them."
        found.append(_problem("contradiction", message, where("chat_dataset"), fix))
    if is_("fp16", "True") and is_("bf16", "True"):
        # https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments
        message = "fp16 and bf16 are both on; the trainer takes at most one of them."
        found.append(_problem("precision", message, where("bf16"), "Write `fp16: False` or `bf16: False`."))
    if is_("bf16", "True") and family(instance_type) in _NO_BF16:
        message = f"bf16 is on, but the GPUs of {instance_type} know no BF16."
        fix = "Write `bf16: False` and `fp16: True`, or choose an instance_type of g5, g6 or p4d."
        found.append(_problem("precision", message, where("bf16"), fix))
    if is_full_fine_tuning(hyperparameters) and hyperparameters.get("bits") in _QUANTISED_BITS:
        message = f"peft_type None trains all weights, which {hyperparameters['bits']} bits cannot hold."
        fix = "Write `peft_type: lora`, or `bits: 16`."
        found.append(_problem("quantised-full", message, where("bits"), fix))
    if is_("load_best_model_at_end", "True") and is_("evaluation_strategy", "no"):
        message = "load_best_model_at_end needs evaluations, and evaluation_strategy is no."
        fix = "Write `evaluation_strategy: steps`, or `load_best_model_at_end: False`."
        found.append(_problem("no-evaluation", message, where("evaluation_strategy"), fix))
    return tuple(found)


def warnings(hyperparameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is allowed, but seldom meant."""
    if not is_full_fine_tuning(hyperparameters):
        return ()
    return (
        (
            "peft_type is None: full fine-tuning. All weights are trained, which takes several times the memory and "
            "time of LoRA; write `peft_type: lora` under hyperparameters for LoRA."
        ),
    )


def is_full_fine_tuning(hyperparameters: Mapping[str, str]) -> bool:
    """Tell whether a script that could use LoRA is told not to; Mistral 7B's is so by default."""
    return hyperparameters.get("peft_type", "").lower() == "none"


def _problem(code: str, message: str, where: str, fix: str) -> Problem:
    return Problem(code=f"hyperparameter.{code}", message=message, where=where, fix=fix)
