"""Where Tunedrop does not take JumpStart's default: what it takes instead, and why."""

from tunedrop.domain.accelerators import accelerator, family, memory_gb
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.model import Record
from tunedrop.domain.plan import TrainingPlan


class ReplacedDefault(Record):
    """Name one default of JumpStart's that is not taken."""

    name: str
    theirs: str
    ours: str
    reason: str


REPLACED = (
    ReplacedDefault(
        name="MaxRuntimeInSeconds",
        theirs="360,000 (100 hours)",
        ours="what the stack parameter LongestTrainingSeconds says (24 hours), or what budget_usd pays for",
        reason="A job that hangs would cost a hundred hours of GPUs.",
    ),
    ReplacedDefault(
        name="instance_type",
        theirs="an instance of the families p2, p3 or p3dn",
        ours="the smallest other type that the model supports with as much GPU memory",
        reason="AWS retires them; their V100 trains in FP32 only, which takes twice the memory, and is the slowest.",
    ),
    ReplacedDefault(
        name="OutputDataConfig.CompressionType",
        theirs="GZIP for some models",
        ours="NONE when Bedrock serves the model",
        reason="Bedrock imports a folder of weights, not an archive.",
    ),
)
"""For the documentation; `replaced` names those that a plan does not have."""

_MAX_RUNTIME, _INSTANCE_TYPE, _COMPRESSION = REPLACED

_RETIRED = frozenset({"p2", "p3", "p3dn"})
"""https://aws.amazon.com/ec2/previous-generation/"""


def retired(instance_type: str) -> bool:
    """Tell whether the type belongs to a family that AWS retires."""
    return family(instance_type) in _RETIRED


def replaced(model: JumpStartModel, training: TrainingPlan) -> tuple[ReplacedDefault, ...]:
    """Return where a plan's job does not have JumpStart's default, each with both values and the reason."""
    default = model.default_instance_type
    found = (
        (_MAX_RUNTIME, str(model.max_runtime_seconds), str(training.max_runtime_seconds)),
        (_INSTANCE_TYPE, default if default and retired(default) else "", training.instance_type),
        (_COMPRESSION, "GZIP" if model.compress_output else "NONE", "GZIP" if training.compress_output else "NONE"),
    )
    return tuple(
        ReplacedDefault(name=each.name, theirs=theirs, ours=ours, reason=each.reason)
        for each, theirs, ours in found
        if theirs not in ("", ours)
    )


def training_instance_type(model: JumpStartModel) -> str | None:
    """Return the type to train on when nobody chose one: JumpStart's, unless it is retired and another one does."""
    default = model.default_instance_type
    if default is None or not retired(default):
        return default
    least = memory_gb(default) or 0
    candidates = [
        (memory, gpu.peak_tflops, each)
        for each in model.instance_types
        if not retired(each) and (gpu := accelerator(each)) and (memory := memory_gb(each)) and memory >= least
    ]
    return min(candidates)[2] if candidates else default
