"""What a SageMaker training container gives a script, and takes from it.

The variables are the training toolkit's:
https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Container:
    """Hold the folders and settings of one training job.

    Attributes:
        training: the folder of the channel `training`, or `train`.
        validation: the folder of the channel `validation`, when the job has one.
        base_model: the folder of the channel `model`: weights and tokenizer in Hugging Face layout.
        model: where the tuned model goes; SageMaker uploads it.
        failure: the file whose first 1,024 characters become the job's FailureReason.
        hyperparameters: values as the API has them, that is text.
        cpus: the number of cores to compute on.
    """

    training: Path
    validation: Path | None
    base_model: Path
    model: Path
    failure: Path
    hyperparameters: dict[str, str]
    cpus: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Container:
        """Read the container's variables.

        Raises:
            KeyError: when a channel or a variable of the contract is missing.
        """
        channels = {
            name.removeprefix("SM_CHANNEL_").lower(): Path(path)
            for name, path in environment.items()
            if name.startswith("SM_CHANNEL_")
        }
        # JumpStart's scripts read either name of the training channel.
        training = channels["training"] if "training" in channels else channels["train"]
        return cls(
            training=training,
            validation=channels.get("validation"),
            base_model=channels["model"],
            model=Path(environment["SM_MODEL_DIR"]),
            failure=Path(environment["SM_OUTPUT_DIR"]) / "failure",
            # The toolkit has decoded the values as JSON where it could: 8 instead of "8".
            hyperparameters={name: str(value) for name, value in json.loads(environment["SM_HPS"]).items()},
            cpus=int(environment.get("SM_NUM_CPUS") or os.cpu_count() or 1),
        )
