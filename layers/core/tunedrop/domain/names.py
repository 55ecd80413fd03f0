"""Deterministic names: the guarantee that a thing is made once, however often an event is delivered."""

import base64
import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

IMPORT_SLOT = "import-slot"
"""The claim on Bedrock's one concurrent import job (quota L-5F098EFA, not adjustable)."""

_TUNE_KEY = re.compile(r"datasets/(?P<dataset>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?)/tune\.yaml")
_EXECUTION_NAME = re.compile(r"(?P<run_id>[a-z2-7]{26})(-[0-9a-f]{8})?-\d+")
_S3_URI = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)")
_JOB_NAME = re.compile(r"(?P<stack>.+)-(?P<run_id>[a-z2-7]{26})-a(?P<attempt>\d+)")
_JUDGE_JOB_NAME = re.compile(r"(?P<stack>.+)-(?P<run_id>[a-z2-7]{26})-[cr]\d+")

_BASE = "-b"

STACK_NAME_PATTERN = r"^[A-Za-z](-?[A-Za-z0-9])*$"
"""What Bedrock takes as the beginning of a model's name; CloudFormation would also allow `--` and a last `-`."""

STACK_NAME_LIMIT = 32
"""Characters of a stack's name, so that a training job's name keeps within SageMaker's 63."""


def run_id(bucket: str, key: str, version_id: str) -> str:
    """Name the run of one uploaded `tune.yaml`: 26 characters of lower-case base32."""
    digest = hashlib.sha256(f"{bucket}|{key}|{version_id}".encode()).digest()
    return base64.b32encode(digest).decode().lower()[:26]


def fingerprint(dataset: str, etags: Iterable[tuple[str, str]]) -> str:
    """Digest a drop's content from (file name, ETag) pairs: equal for the same files dropped twice."""
    lines = [dataset, *(f"{name}\t{etag}" for name, etag in sorted(etags))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def drop_claim(drop_fingerprint: str) -> str:
    """Name the claim of a run on the content that it trains on."""
    return f"drop-{drop_fingerprint}"


def dataset_of(key: str) -> str | None:
    """Read the dataset's name from the key of a `tune.yaml`; None when the key is not one that starts a run."""
    match = _TUNE_KEY.fullmatch(key)
    return match["dataset"] if match else None


def training_job(stack: str, run: str, attempt: int) -> str:
    """Name a training job; SageMaker allows 63 of `[a-zA-Z0-9-]`."""
    return f"{stack}-{run}-a{attempt}"


def run_of_training_job(stack: str, job_name: str) -> str | None:
    """Read the run's id from the name of a training job; None for a job that is not this stack's."""
    match = _JOB_NAME.fullmatch(job_name)
    return match["run_id"] if match and match["stack"] == stack else None


def attempt_of_training_job(job_name: str) -> int | None:
    """Read which of its run's attempts a training job is; None for a name that is none of ours."""
    match = _JOB_NAME.fullmatch(job_name)
    return int(match["attempt"]) if match else None


def model_package_group(stack: str) -> str:
    """Name the group of model packages that SageMaker's serverless customisation writes its results to."""
    return f"{stack}-customised"


def imported_model(stack: str, run: str) -> str:
    """Name the import job and the imported model of a run; Bedrock allows 63 of `[0-9a-zA-Z_-]`."""
    return f"{stack}-{run}"


def run_of_imported_model(stack: str, model_name: str) -> str | None:
    """Read the run's id from the name of an imported model; None for a model that is not this stack's."""
    prefix, _, run = model_name.rpartition("-")
    return run if prefix == stack and re.fullmatch(r"[a-z2-7]{26}", run) else None


def endpoint(stack: str, run: str) -> str:
    """Name all that serves a run's model on SageMaker: model, configuration, endpoint and inference component.

    SageMaker allows 63 of `[a-zA-Z0-9-]`. It writes the name in lower case in ARNs, while a call has to spell it as it
    was given: a stack whose name has capitals makes no endpoints (`hosting.hosting_problems`).
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
    """
    return f"{stack}-{run}"


def run_of_endpoint(stack: str, name: str) -> str | None:
    """Read the run's id from the name of an endpoint; None for one that is not this stack's."""
    return run_of_imported_model(stack, name)


def base_endpoint(stack: str, run: str) -> str:
    """Name all that serves the base model of a run while it is evaluated, on an endpoint of its own."""
    return f"{endpoint(stack, run)}{_BASE}"


def run_of_base_endpoint(stack: str, name: str) -> str | None:
    """Read the run's id from the name of a base model's endpoint; None for any other endpoint."""
    return run_of_endpoint(stack, name.removesuffix(_BASE)) if name.endswith(_BASE) else None


def endpoint_of(model_arn: str) -> str | None:
    """Read the name of the endpoint, and of its component, that a model's ARN stands for; None for one of Bedrock's.

    The ARN is the component's: `arn:aws:sagemaker:<region>:<account>:inference-component/<name>`.
    """
    kind, _, name = model_arn.rpartition("/")
    return name if kind.endswith(":inference-component") else None


def alias(stack: str, dataset: str) -> str:
    """Name the SSM parameter that holds the ARN of a dataset's promoted model: an import's, or a component's."""
    return f"/{stack}/models/{dataset}"


def run_prefix(run: str) -> str:
    """Locate a run's own files in the run bucket; ends with a slash."""
    return f"runs/{run}/"


def channel_prefix(run: str, channel: str) -> str:
    """Locate the validated files of one training channel; ends with a slash."""
    return f"{run_prefix(run)}channels/{channel}/"


def held_out_key(run: str) -> str:
    """Locate the held-out rows that the evaluation asks."""
    return f"{run_prefix(run)}held-out.jsonl"


def plan_key(run: str) -> str:
    """Locate the plan as people read it."""
    return f"{run_prefix(run)}plan.json"


def report_key(run: str) -> str:
    """Locate the validator's report."""
    return f"{run_prefix(run)}validation-report.json"


def report_page_key(run: str) -> str:
    """Locate the validator's report as a page."""
    return f"{run_prefix(run)}validation-report.html"


def run_page_key(run: str) -> str:
    """Locate the run's own report as a page."""
    return f"{run_prefix(run)}report.html"


def model_card_key(run: str, kind: str) -> str:
    """Locate the model card, of `kind` json or md."""
    return f"{run_prefix(run)}model-card.{kind}"


def held_out_images_prefix(run: str) -> str:
    """Locate the pictures of held-out rows; ends with a slash."""
    return f"{run_prefix(run)}held-out/"


def validation_prefix(run: str) -> str:
    """Locate what the parts of a large dataset's validation leave for each other; ends with a slash.

    Apart from what the run keeps, for the bucket's lifecycle to clear away.
    """
    return f"validation/{run}/"


def scan_order_key(run: str) -> str:
    """Locate what every range of a large dataset is judged by."""
    return f"{validation_prefix(run)}settings.json"


def ranges_key(run: str) -> str:
    """Locate the ranges of a large dataset."""
    return f"{validation_prefix(run)}ranges.json"


def range_prefix(run: str, number: int) -> str:
    """Locate what one range came to; ends with a slash."""
    return f"{validation_prefix(run)}{number:05}/"


def validation_execution(run: str, attempt: int) -> str:
    """Name the workflow's execution that validates a large dataset; Step Functions allows 80 characters."""
    return f"{run}-{attempt}"


def run_of_execution(execution: str) -> str | None:
    """Read the run's id from the name of a workflow's execution; None for one that a person started."""
    match = _EXECUTION_NAME.fullmatch(execution)
    return match["run_id"] if match else None


def console_url(region: str, uri: str) -> str:
    """Link an object of S3 in the AWS console, for who may sign in there."""
    match = _S3_URI.fullmatch(uri)
    if not match:
        raise ValueError(f"no URI of an object in S3: {uri}")
    where = f"{match['bucket']}?region={region}&prefix={quote(match['key'], safe='')}"
    return f"https://{region}.console.aws.amazon.com/s3/object/{where}"


def checkpoints_prefix(run: str, instance_type: str) -> str:
    """Locate what a training on spot leaves for its next start on instances of the same type; ends with a slash.

    Shards of one number of GPUs are no checkpoint for another. Apart from what the run keeps, for the bucket's
    lifecycle to clear away.
    """
    return f"checkpoints/{run}/{instance_type}/"


def training_output_prefix(run: str) -> str:
    """Locate the parent of the training jobs' output: SageMaker appends `<job>/output/`."""
    return f"{run_prefix(run)}training/"


def answers_key(run: str) -> str:
    """Locate the answers of the evaluation, a JSON line each."""
    return f"{run_prefix(run)}answers.jsonl"


def answers_prefix(run: str) -> str:
    """Locate what the evaluation stores while it asks; ends with a slash."""
    return f"{run_prefix(run)}answers/"


def asking_order_key(run: str, order: str) -> str:
    """Locate what every range of the held-out rows is asked by."""
    return f"{answers_prefix(run)}{order}/order.json"


def asked_ranges_key(run: str, order: str) -> str:
    """Locate the ranges of a large set of held-out rows."""
    return f"{answers_prefix(run)}{order}/ranges.json"


def asked_range_prefix(run: str, order: str, number: int) -> str:
    """Locate what one range of the held-out rows came to; ends with a slash."""
    return f"{answers_prefix(run)}{order}/{number:05}/"


def evaluation_execution(run: str, order: str, attempt: int) -> str:
    """Name the workflow's execution that asks a large set of held-out rows; Step Functions allows 80 characters."""
    return f"{run}-{order}-{attempt}"


def judge_job(stack: str, run: str, side: str, attempt: int) -> str:
    """Name the evaluation job that grades the candidate's answers, or its rival's; Bedrock allows 63 of `[a-z0-9-]`."""
    return f"{stack.lower()}-{run}-{'c' if side == 'candidate' else 'r'}{attempt}"


def run_of_judge_job(stack: str, job_name: str) -> str | None:
    """Read the run's id from the name of an evaluation job; None for one that is not this stack's."""
    match = _JUDGE_JOB_NAME.fullmatch(job_name)
    return match["run_id"] if match and match["stack"] == stack.lower() else None


def judge_dataset_key(run: str, job: str) -> str:
    """Locate the answers that an evaluation job grades."""
    return f"{run_prefix(run)}judge/{job}/answers.jsonl"


def judge_output_prefix(run: str, job: str) -> str:
    """Locate what Bedrock writes of an evaluation job; ends with a slash."""
    return f"{run_prefix(run)}judge/{job}/output/"


def evaluation_report_key(run: str) -> str:
    """Locate what the answers came to."""
    return f"{run_prefix(run)}evaluation.json"
