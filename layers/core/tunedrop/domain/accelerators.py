"""The GPUs of training instances: how much memory they have, and how fast they multiply at best."""

from tunedrop.domain.data_target import devices
from tunedrop.domain.model import Record


class Accelerator(Record):
    """Describe one GPU as its maker's data sheet does."""

    name: str
    memory_gb: int
    peak_tflops: float
    """Dense matrix products in the precision that training uses: BF16, FP16 on T4, FP32 on V100.

    JumpStart's Llama scripts train in FP32 on p3, whose V100 knows no BF16.
    """


_ACCELERATORS = {
    "g4dn": Accelerator(name="T4", memory_gb=16, peak_tflops=65),
    "g5": Accelerator(name="A10G", memory_gb=24, peak_tflops=70),
    "g6": Accelerator(name="L4", memory_gb=24, peak_tflops=121),
    "g6e": Accelerator(name="L40S", memory_gb=48, peak_tflops=362),
    "p3": Accelerator(name="V100", memory_gb=16, peak_tflops=15.7),
    "p3dn": Accelerator(name="V100", memory_gb=32, peak_tflops=15.7),
    "p4d": Accelerator(name="A100", memory_gb=40, peak_tflops=312),
    "p4de": Accelerator(name="A100", memory_gb=80, peak_tflops=312),
    "p5": Accelerator(name="H100", memory_gb=80, peak_tflops=989),
    "p5e": Accelerator(name="H200", memory_gb=141, peak_tflops=989),
    "p5en": Accelerator(name="H200", memory_gb=141, peak_tflops=989),
}
"""By instance family; from NVIDIA's data sheets, without the doubling that they print for sparse matrices.

https://aws.amazon.com/ec2/instance-types/#Accelerated_Computing and https://www.nvidia.com/en-us/data-center/
"""


def family(instance_type: str) -> str:
    """Return the family of an instance type: g5 of ml.g5.12xlarge."""
    return instance_type.removeprefix("ml.").partition(".")[0]


def accelerator(instance_type: str) -> Accelerator | None:
    """Return the GPU of an instance type; None when it has none, or is not known."""
    return _ACCELERATORS.get(family(instance_type)) if devices(instance_type) else None


def memory_gb(instance_type: str) -> int | None:
    """Return the memory of all GPUs of one instance; None when it is not known."""
    gpu, count = accelerator(instance_type), devices(instance_type)
    return gpu.memory_gb * count if gpu and count else None
