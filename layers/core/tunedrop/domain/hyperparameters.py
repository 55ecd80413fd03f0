"""Choose a job's hyperparameters: the model's defaults, what the technique demands, what the user sets."""

import json
import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from tunedrop.domain.jumpstart import HyperparameterSpec, JumpStartModel
from tunedrop.domain.plan import Technique
from tunedrop.domain.problem import Problem, excerpt

VALUE_LIMIT = 2500
"""Characters of a value in CreateTrainingJob, the two quotes of its JSON encoding included."""

_INSTRUCTION, _CHAT = "instruction_tuned", "chat_dataset"

FORCED: Mapping[Technique, Mapping[str, str]] = {
    Technique.INSTRUCTION: {_INSTRUCTION: "True", _CHAT: "False"},
    Technique.CHAT: {_INSTRUCTION: "False", _CHAT: "True"},
    Technique.DOMAIN_ADAPTATION: {_INSTRUCTION: "False", _CHAT: "False"},
    Technique.VISUAL_QA: {},
    Technique.DPO: {},
}
"""What a technique demands of the switches by which JumpStart's scripts tell the kinds of data apart."""

_INT8, _FSDP = _MEMORY_MODES = ("int8_quantization", "enable_fsdp")

# One spelling each: no `1_0`, no `٣`, no `010`, which YAML 1.1 reads as 8, no `nan`.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?")


def techniques_of(model: JumpStartModel) -> tuple[Technique, ...]:
    """Tell which techniques the model's training script offers, by its switches; an image classifier has none."""
    switches = {each.name for each in model.hyperparameters}
    offered = {
        Technique.INSTRUCTION: _INSTRUCTION in switches,
        Technique.CHAT: _CHAT in switches,
        Technique.DOMAIN_ADAPTATION: not switches.isdisjoint((_INSTRUCTION, _CHAT)),
        Technique.VISUAL_QA: model.vision,
    }
    return tuple(technique for technique, is_offered in offered.items() if is_offered)


def choose_hyperparameters(
    model: JumpStartModel,
    technique: Technique,
    asked: Mapping[str, str],
    where: Callable[[str], str],
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return what differs from the model's defaults, in the API's spelling, and all that is wrong with what is asked.

    `where` locates one of the asked names for the message.
    """
    specs = {each.name: each for each in model.hyperparameters}
    problems: list[Problem] = []
    chosen: dict[str, str] = {}
    for name, text in asked.items():
        spec = specs.get(name)
        if spec is None or spec.container:
            problems.append(_unknown(name, specs, where(name)))
        elif (value := _canonical(spec, text)) is None:
            problems.append(_refused(spec, text, where(name)))
        else:
            chosen[name] = value
    problems.extend(_contradictions(technique, specs, chosen, where))
    problems.extend(_memory_mode(specs, chosen, where))
    return chosen, tuple(problems)


def other_technique(technique: Technique, asked: Mapping[str, str], where: Callable[[str], str]) -> tuple[Problem, ...]:
    """Refuse the switches that say another technique."""
    return tuple(
        Problem(
            code="hyperparameter.contradiction",
            message=f"{name} is {asked[name]}, but the technique {technique} means {name}: {value}.",
            where=where(name),
            fix=f"Remove {name}; the technique sets it.",
        )
        for name, value in FORCED[technique].items()
        if name in asked and asked[name].lower() != value.lower()
    )


def no_numbers(asked: Mapping[str, str], where: Callable[[str], str]) -> tuple[Problem, ...]:
    """Refuse text where every training script wants a number; for who has no spec at hand, which alone has bounds."""
    specs = (
        HyperparameterSpec(name=name, type="int" if name in _WHOLE else "float", default=_USUAL[name])
        for name in asked.keys() & _USUAL.keys()
    )
    return tuple(
        _refused(spec, asked[spec.name], where(spec.name))
        for spec in sorted(specs, key=lambda each: each.name)
        if _canonical(spec, asked[spec.name]) is None
    )


_WHOLE = {
    "epoch": "3",
    "epochs": "3",
    "gradient_accumulation_steps": "4",
    "lora_alpha": "32",
    "lora_r": "8",
    "max_input_length": "1024",
    "max_train_samples": "1000",
    "per_device_eval_batch_size": "1",
    "per_device_train_batch_size": "1",
    "seed": "10",
}
_USUAL: Mapping[str, str] = {
    **_WHOLE,
    "learning_rate": "0.0001",
    "lora_dropout": "0.05",
    "validation_split_ratio": "0.2",
    "warmup_ratio": "0.1",
    "weight_decay": "0.01",
}
"""Hyperparameters that are numbers whichever script has them, each with a value that is none too far off."""


def _refused(spec: HyperparameterSpec, text: str, where: str) -> Problem:
    return Problem(
        code="hyperparameter.value",
        message=f"{spec.name} cannot be {excerpt(text)}.",
        where=where,
        fix=f"Set it to {_allowed(spec)}.",
    )


def _unknown(name: str, specs: Mapping[str, HyperparameterSpec], where: str) -> Problem:
    known = sorted(each.name for each in specs.values() if not each.container)
    if name in specs:
        return Problem(
            code="hyperparameter.container",
            message=f"{name} belongs to the training container and is set by Tunedrop.",
            where=where,
            fix="Remove it.",
        )
    near = get_close_matches(name, known, n=1)
    suggestion = f"Did you mean {near[0]}? " if near else ""
    return Problem(
        code="hyperparameter.unknown",
        message=f"The model has no hyperparameter {excerpt(name)}.",
        where=where,
        fix=f"{suggestion}It has: {', '.join(known)}.",
    )


def _canonical(spec: HyperparameterSpec, text: str) -> str | None:
    """Spell a value as the API wants it; None when it is not allowed."""
    match spec.type:
        case "int":
            return text if _INTEGER.fullmatch(text) and _within(spec, int(text)) else None
        case "float":
            if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
                return None
            return text if _within(spec, float(text)) else None
        case "bool":
            return _option(("True", "False"), text)
        case "text":
            if spec.options:
                return _option(spec.options, text)
            fits = text.isascii() and text.isprintable() and len(json.dumps(text)) <= VALUE_LIMIT
            return text if fits and _within(spec, len(text)) else None


def _option(options: tuple[str, ...], text: str) -> str | None:
    """Find the option; scripts compare `True` and `False` as text, and YAML's own spelling is `true`."""
    return next((each for each in options if each.lower() == text.lower()), None)


def _within(spec: HyperparameterSpec, number: float) -> bool:
    return (
        (spec.minimum is None or number >= spec.minimum)
        and (spec.maximum is None or number <= spec.maximum)
        and (spec.exclusive_minimum is None or number > spec.exclusive_minimum)
        and (spec.exclusive_maximum is None or number < spec.exclusive_maximum)
    )


def _allowed(spec: HyperparameterSpec) -> str:
    options = ("True", "False") if spec.type == "bool" else spec.options
    if options:
        return " or ".join(options)
    kind = {"int": "a whole number", "float": "a number", "text": "a text whose length is"}[spec.type]
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (
            ("at least", spec.minimum),
            ("above", spec.exclusive_minimum),
            ("at most", spec.maximum),
            ("below", spec.exclusive_maximum),
        )
        if bound is not None
    ]
    if spec.type == "text" and not bounds:
        return f"one line of ASCII text of at most {VALUE_LIMIT - 2} characters, such as {spec.default}"
    return f"{' '.join([kind, ' and '.join(bounds)]).rstrip()}, such as {spec.default}"


def _contradictions(
    technique: Technique, specs: Mapping[str, HyperparameterSpec], chosen: dict[str, str], where: Callable[[str], str]
) -> list[Problem]:
    """Set the technique's switches; refuse what says otherwise."""
    switches = {name: value for name, value in FORCED[technique].items() if name in specs}
    for name, value in switches.items():
        chosen.setdefault(name, value)
    return [*other_technique(technique, {name: chosen[name] for name in switches}, where)]


def _memory_mode(
    specs: Mapping[str, HyperparameterSpec], chosen: dict[str, str], where: Callable[[str], str]
) -> list[Problem]:
    """Keep exactly one of int8 quantisation and FSDP on, for a model that has one of them on by default.

    Both together are not supported, and neither runs out of memory. A model with both off by default needs neither.
    See AWS's notebook `sm-jumpstart_foundation_llama_3_finetuning`:
    https://github.com/aws/amazon-sagemaker-examples/tree/main/generative_ai
    """
    if not all(name in specs for name in _MEMORY_MODES) or not any(name in chosen for name in _MEMORY_MODES):
        return []
    for one, other in (_MEMORY_MODES, _MEMORY_MODES[::-1]):
        if one in chosen and other not in chosen:
            if chosen[one] == "True":
                chosen[other] = "False"
            elif specs[one].default == "True":
                chosen[other] = "True"
    on = [name for name in _MEMORY_MODES if chosen.get(name, specs[name].default) == "True"]
    needed = any(specs[name].default == "True" for name in _MEMORY_MODES)
    if len(on) == 1 or (not on and not needed):
        return []
    return [
        Problem(
            code="hyperparameter.memory-mode",
            message=f"{_INT8} and {_FSDP} are both {'on' if on else 'off'}; exactly one of them must be on.",
            where=where(_INT8),
            fix=f"Set only one of them, for example {_INT8}: True; the other follows.",
        )
    ]
