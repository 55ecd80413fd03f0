"""Time from the S3 event to CreateTrainingJob on the embedded AWS: cold, and warm as a ratio to it.

The way is plan_run, validate_dataset and launch_training with the stream and the pipe between them. Cold counts the
start of three workers, plan_run's SDK among them.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from local.application import furnish, settings
from local.engine import Engine
from local.jumpstart.specs import TINY_LLAMA

WARM_DROPS = 5
PATIENCE = 120.0


def main() -> None:
    """Print the seconds and the ratio."""
    models = (TINY_LLAMA,)
    with tempfile.TemporaryDirectory() as folder, Engine(Path(folder), settings(models=models)) as engine:
        outputs = furnish(engine, models=models)
        cold, *warm = (seconds(engine, outputs, number) for number in range(1 + WARM_DROPS))
    middle = statistics.median(warm)
    print(f"S3 event to CreateTrainingJob: cold {cold:.2f} s, warm {middle:.2f} s, cold/warm {cold / middle:.1f}")


def seconds(engine: Engine, outputs: dict[str, str], number: int) -> float:
    """Drop a small dataset; return the time from the upload of tune.yaml to the job's creation, then stop the job."""
    s3 = engine.client("s3")
    rows = [{"instruction": f"say {number}", "context": str(row), "response": "yes"} for row in range(40)]
    files = {
        "train.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "tune.yaml": f"model: {TINY_LLAMA.model_id}\n",
    }
    for name, content in files.items():
        started = time.time()
        s3.put_object(Bucket=outputs["DropBucketName"], Key=f"datasets/bench-{number}/{name}", Body=content.encode())
    sagemaker = engine.client("sagemaker")
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        jobs = sagemaker.list_training_jobs()["TrainingJobSummaries"]
        if len(jobs) > number:
            newest = max(jobs, key=lambda job: job["CreationTime"])
            sagemaker.stop_training_job(TrainingJobName=newest["TrainingJobName"])
            engine.settle(PATIENCE)
            return float(newest["CreationTime"].timestamp() - started)
        time.sleep(0.02)
    raise SystemExit("no training job was created")


if __name__ == "__main__":
    main()
