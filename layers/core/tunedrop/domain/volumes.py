"""The volumes that a training instance writes to, and who encrypts them."""

from tunedrop.domain.accelerators import family

_WITHOUT_LOCAL_STORAGE = frozenset(
    {"c4", "c5", "c5n", "c6i", "c7i", "m4", "m5", "m6i", "m7i", "p2", "p3", "r5", "r7i", "t3"}
)
"""Families that have an EBS volume only, of those that SageMaker trains on.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html#instance-store-volumes
"""


def takes_volume_key(instance_type: str) -> bool:
    """Tell whether CreateTrainingJob takes a VolumeKmsKeyId for the type.

    It refuses one where the instance has local NVMe storage, which its own hardware encrypts; a type that is not known
    counts as such, for a key too few fails no job.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    """
    return family(instance_type) in _WITHOUT_LOCAL_STORAGE
