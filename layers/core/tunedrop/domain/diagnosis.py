"""A training job that failed, explained: the cause in plain words, and the line of `tune.yaml` to change.

The reason and the log are text of the training script's, which may repeat rows of the user's: of them a problem holds
no more than the class of the exception and numbers. AWS's own reasons are quoted in part, escaped and cut.
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-python-sdk-troubleshooting.html
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunedrop.domain.accelerators import accelerator, memory_gb
from tunedrop.domain.budget import amount
from tunedrop.domain.plan import Plan, TrainingPlan
from tunedrop.domain.problem import Problem, excerpt
from tunedrop.domain.quotas import quota_name

LINES_READ = 200
"""Of the log's end: the exception stands there, and a pattern is never tried on more."""

LINE_LIMIT = 2000
"""Characters of a line that are read."""

REASON_LIMIT = 8000
"""Characters of a reason that are read; SageMaker's are 1,024 at most."""

_COMMAND = re.compile(r'Command "[^"]*"?')
_SETTINGS = re.compile(r"\s*(?:SM_[A-Z_]+=|[\[\]{}\"'])")
"""What the training toolkit prints of every job: the names of all hyperparameters, which tell nothing of a failure."""

_LADDER = (
    "ml.g5.2xlarge",
    "ml.g5.12xlarge",
    "ml.g5.48xlarge",
    "ml.p4d.24xlarge",
    "ml.p4de.24xlarge",
    "ml.p5e.48xlarge",
)
"""Common types, each with more GPU memory than the one before."""

_TUNE_YAML = "tune.yaml"
_BATCH = "per_device_train_batch_size"

_EXCEPTION = re.compile(r"\b((?:[A-Za-z_]\w{0,60}\.){0,5}[A-Z]\w{0,60}(?:Error|Exception))(?=[:\s\"']|$)")
_EXIT_CODE = re.compile(r"(?i)exit ?code:? {0,3}(-?\d{1,4})")
_QUOTA = re.compile(
    r"service limit '(?P<quota>[A-Za-z0-9 .()-]{1,100})' is (?P<limit>\d{1,9}) \w+, "
    r"with current utilization of (?P<used>\d{1,9})"
)


@dataclass(frozen=True)
class _Failure:
    """Hold what a fix may depend on."""

    reason: str
    plan: Plan

    def hyperparameter(self, name: str) -> str | None:
        return self.plan.training.hyperparameters.get(name)

    @property
    def instance_type(self) -> str:
        return self.plan.training.instance_type


_Fix = Callable[[_Failure], tuple[str, str]]
"""Returns the key of `tune.yaml` that the fix changes, or nothing, and the fix."""


@dataclass(frozen=True)
class _Rule:
    code: str
    pattern: re.Pattern[str]
    cause: str
    fix: _Fix
    aws_only: bool = False
    """True for words that count in AWS's own reason only: a script's log may hold them as data."""


def diagnose(failure_reason: str, log_tail: Sequence[str], plan: Plan) -> Problem:
    """Explain why the training job of the plan failed; what nobody foresaw is told with its exception's class.

    `failure_reason` is the FailureReason of DescribeTrainingJob, or the secondary status of a job that was stopped.
    """
    failure = _Failure(reason=failure_reason, plan=plan)
    theirs = "" if _is_script_s(failure_reason) else failure_reason[:REASON_LIMIT]
    log = (line[:LINE_LIMIT] for line in log_tail[-LINES_READ:] if not _SETTINGS.match(line))
    everything = "\n".join((_COMMAND.sub("", failure_reason[:REASON_LIMIT]), *log))
    for rule in _RULES:
        if rule.pattern.search(theirs if rule.aws_only else everything):
            where, fix = rule.fix(failure)
            return Problem(code=rule.code, message=rule.cause, where=where, fix=fix)
    return _unforeseen(failure_reason, everything)


def _is_script_s(reason: str) -> bool:
    return reason.startswith("AlgorithmError") or "ErrorMessage" in reason or "Traceback" in reason


def _unforeseen(reason: str, everything: str) -> Problem:
    names = [each for each in _EXCEPTION.findall(everything) if each.rpartition(".")[2] not in _WRAPPERS]
    code = _EXIT_CODE.search(reason)
    if names or code or _is_script_s(reason):
        what = f" with {excerpt(names[-1])}" if names else ""
        exit_code = f", exit code {code[1]}" if code else ""
        return Problem(
            code="training.script",
            message=f"The training script failed{what}{exit_code}.",
            fix="Read the end of the job's log in CloudWatch Logs (/aws/sagemaker/TrainingJobs); what it says of a row "
            "is shown there only. Then drop again.",
        )
    said = excerpt(reason.splitlines()[0]) if reason.strip() else "no reason given"
    return Problem(
        code="training.failed",
        message=f"The training job failed: {said}",
        fix="Read the job's log in CloudWatch Logs (/aws/sagemaker/TrainingJobs), and drop again.",
    )


_WRAPPERS = frozenset({"AlgorithmError", "ClientError", "ExecuteUserScriptError", "ChildFailedError"})
"""What wraps the exception that matters."""


def _say(fix: str, where: str = "") -> _Fix:
    return lambda _failure: (where, fix)


def _line(name: str, value: str, why: str) -> tuple[str, str]:
    """Advise one line of the hyperparameters."""
    return f"{_TUNE_YAML}: hyperparameters.{name}", f"Write `{name}: {value}` under hyperparameters: {why}."


def _another_instance(failure: _Failure) -> tuple[str, str]:
    if len(failure.plan.choices) > 1:
        return "", "Drop again later, or deploy the stack in another Region."
    other = _larger(failure.instance_type)
    return (
        f"{_TUNE_YAML}: instance_type",
        (
            "Drop again later; or leave instance_type out, for Tunedrop to try several; or write another one that the "
            f"model supports, such as `instance_type: {other}`; or deploy in another Region."
        ),
    )


def _quota(failure: _Failure) -> tuple[str, str]:
    training = failure.plan.training
    spot = isinstance(training, TrainingPlan) and training.max_wait_seconds is not None
    name = quota_name(failure.instance_type, spot=spot)
    if (said := _QUOTA.search(failure.reason)) and int(said["limit"]) > 0:
        return "", (
            f"{said['used']} of {said['limit']} instances of the quota '{said['quota']}' are in use: drop "
            "again when another job has ended, or request a higher quota."
        )
    return "", (
        f"Request an increase of '{said['quota'] if said else name}' in the Service Quotas console (Amazon SageMaker), "
        "or find its code with `aws service-quotas list-service-quotas --service-code sagemaker --query "
        f"\"Quotas[?QuotaName=='{name}']\"` and use `aws service-quotas request-service-quota-increase`."
    )


def _less_gpu_memory(failure: _Failure) -> tuple[str, str]:
    """Advise the cheapest change that is left: smaller batches, then quantisation, then larger GPUs."""
    batch = failure.hyperparameter(_BATCH)
    if batch and batch.isdecimal() and int(batch) > 1:
        return _line(_BATCH, "1", f"it is {int(batch)}, and memory grows with it")
    if failure.hyperparameter("int8_quantization") == "False":
        return _line("int8_quantization", "True", "the weights take half the memory; leave enable_fsdp out, it follows")
    if failure.hyperparameter("gradient_checkpointing") == "False":
        return _line("gradient_checkpointing", "True", "it computes again instead of keeping, which is slower")
    length = failure.hyperparameter("max_input_length") or ""
    if length.isdecimal() and int(length) > _SHORT:
        return _line("max_input_length", str(int(length) // 2), "memory grows with it; longer rows are cut")
    return _larger_instance(failure)


_SHORT = 512


def _larger_instance(failure: _Failure) -> tuple[str, str]:
    return (
        f"{_TUNE_YAML}: instance_type",
        (
            f"Write `instance_type: {_larger(failure.instance_type)}`, or another with more memory than "
            f"{failure.instance_type} that the model supports."
        ),
    )


def _larger(instance_type: str) -> str:
    """Find the next larger type; of the largest, the largest."""
    now, gpu = memory_gb(instance_type) or 0, accelerator(instance_type)
    each_now = gpu.memory_gb if gpu else 0
    for other in _LADDER:
        memory, other_gpu = memory_gb(other), accelerator(other)
        if memory and other_gpu and memory > now and other_gpu.memory_gb >= each_now:
            return other
    return _LADDER[-1]


def _memory_mode(_failure: _Failure) -> tuple[str, str]:
    return _line("int8_quantization", "True", "exactly one of the two must be on; leave enable_fsdp out, it follows")


def _smaller_steps(failure: _Failure) -> tuple[str, str]:
    rate = failure.hyperparameter("learning_rate")
    try:
        smaller = f"{float(rate) / 10:g}" if rate else "1e-05"
    except ValueError:
        smaller = "1e-05"
    return _line("learning_rate", smaller, "a tenth of what it was keeps the loss finite in most cases")


def _more_time(failure: _Failure) -> tuple[str, str]:
    plan = failure.plan
    hours = plan.training.max_runtime_seconds / 3600
    if plan.budget_usd is not None:
        return (
            f"{_TUNE_YAML}: budget_usd",
            f"Write `budget_usd: {amount(plan.budget_usd * 2)}` (it pays for {hours:.1f} hours now); or fewer epochs.",
        )
    name = "epochs" if failure.hyperparameter("epochs") else "epoch"
    epochs = failure.hyperparameter(name) or ""
    fewer = str(max(1, int(epochs) // 2)) if epochs.isdecimal() else "1"
    return _line(name, fewer, f"the stack lets a job train {hours:.1f} hours")


def _rule(code: str, pattern: str, cause: str, fix: _Fix, *, aws_only: bool = False) -> _Rule:
    return _Rule(code=code, pattern=re.compile(pattern), cause=cause, fix=fix, aws_only=aws_only)


_RULES = (
    # ------------------------------------------------------------ AWS's own words, which a script's log may repeat
    _rule(
        "training.capacity",
        r"CapacityError|InsufficientInstanceCapacity|Unable to provision requested ML compute capacity",
        "AWS had no free instance of the type in this Region.",
        _another_instance,
        aws_only=True,
    ),
    _rule(
        "training.no-quota",
        r"service limit '[^'\n]{1,100}' is 0 ",
        "The account's quota for training on this instance type is 0.",
        _quota,
        aws_only=True,
    ),
    _rule(
        "training.quota",
        r"ResourceLimitExceeded|account-level service limit",
        "The account's quota for training on this instance type does not allow another instance.",
        _quota,
        aws_only=True,
    ),
    _rule(
        "training.throttled",
        r"ThrottlingException|Rate exceeded|TooManyRequests",
        "AWS received too many requests at once.",
        _say("Nothing to mend: drop again."),
        aws_only=True,
    ),
    _rule(
        "training.interrupted",
        r"(?i)spot.{0,40}(?:interrupt|reclaim|terminat)|Interrupted|MaxWaitTimeExceeded",
        "AWS took the spot instance back, or none came in time.",
        _say(
            "Drop again without managed spot training: JumpStart's scripts may start from zero after an interruption."
        ),
        aws_only=True,
    ),
    _rule(
        "training.time-limit",
        r"MaxRuntimeExceeded|(?i:maximum runtime)",
        "The training job reached its time limit; a partial model is no result.",
        _more_time,
        aws_only=True,
    ),
    _rule(
        "training.aws-fault",
        r"InternalServerError|(?i:internal (?:server )?error)",
        "SageMaker itself failed.",
        _say("Drop again; if it fails again, see the AWS Health Dashboard."),
        aws_only=True,
    ),
    _rule(
        "training.permission-tags",
        r"not authorized to perform:? sagemaker:AddTags",
        "The launch may not tag the training job.",
        _say("Allow sagemaker:AddTags beside sagemaker:CreateTrainingJob to the launching function's role."),
    ),
    # ------------------------------------------------------------ access; KMS first, its text names S3 as well
    _rule(
        "training.kms",
        r"(?:AccessDenied|not authorized|Forbidden|denied)[^\n]{0,200}(?:KMS|kms:)|kms:(?:Decrypt|GenerateDataKey)"
        r"|KMS\.(?:\w{1,40}Exception)",
        "The training role may not use the KMS key of the data or of the output; output is encrypted at the very end.",
        _say(
            "Allow kms:Decrypt and kms:GenerateDataKey on the key to the stack's training role, in the role and in the "
            "key's policy."
        ),
    ),
    _rule(
        "training.eula",
        r"(?i)(?:need|must|set|require|define|pass)[^\n]{0,80}(?:accept_eula|AcceptEula)|gated (?:model|repo)"
        r"|(?:AccessDenied|Forbidden)[^\n]{0,200}jumpstart-private-cache",
        "The model is gated by a licence agreement that was not accepted for this job.",
        _say("Read the agreement, and write `accept_eula: true`.", f"{_TUNE_YAML}: accept_eula"),
    ),
    _rule(
        "training.image",
        r"(?i)(?:failed|unable|cannot) to pull [^\n]{0,60}image|ImagePull|CannotStartContainer"
        r"|cannot find (?:the )?repository|image[^\n]{0,80}does not exist",
        "SageMaker could not fetch the training image.",
        _say(
            "Allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to the training role; "
            "in a VPC, add endpoints for ECR (api and dkr) and S3."
        ),
    ),
    _rule(
        "training.artifact",
        r"(?i)(?:no s3 objects found|NoSuchKey|404|not found)[^\n]{0,200}jumpstart-(?:private-)?cache",
        "JumpStart has no weights or script of the model for this instance family.",
        _larger_instance,
    ),
    _rule(
        "training.data-download",
        r"(?i)data download failed|no s3 objects found under|failed to download data",
        "SageMaker could not read the job's files in S3.",
        _say(
            "Allow s3:GetObject on the run bucket's runs/* and s3:ListBucket on the bucket to the training role; in a "
            "VPC, add an S3 endpoint. Do not delete a run's files while it trains."
        ),
        aws_only=True,
    ),
    # ------------------------------------------------------------ the script and its machine
    _rule(
        "training.memory-mode",
        r"(?i)(?:int8_quantization[^\n]{0,80}enable_fsdp|enable_fsdp[^\n]{0,80}int8_quantization)[^\n]{0,80}"
        r"(?:unsupported|not supported|not compatible|incompatible|same time|both|cannot)"
        r"|(?:FSDP[^\n]{0,60}(?:int8|quantization)|(?:int8|quantization)[^\n]{0,60}FSDP)[^\n]{0,40}"
        r"(?:unsupported|not supported|not compatible|incompatible)",
        "int8_quantization and enable_fsdp contradict each other; exactly one of them must be on.",
        _memory_mode,
    ),
    _rule(
        "training.gpu-memory",
        r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED",
        "The GPUs ran out of memory.",
        _less_gpu_memory,
    ),
    _rule(
        "training.disk-full",
        r"No space left on device|Errno 28\b|(?i:disk quota exceeded)",
        "The disk of the instance is full; its size grows with the instance's.",
        _larger_instance,
    ),
    _rule(
        "training.host-memory",
        r"(?m)^MemoryError|DefaultCPUAllocator: can't allocate memory|Cannot allocate memory|SIGKILL"
        r"|(?i:exit ?code:? {0,3}(?:137|-9)\b)|use an instance type with more memory|exitcode {0,3}: -9",
        "The instance ran out of main memory, and the script was killed.",
        _larger_instance,
    ),
    _rule(
        "training.nan-loss",
        r"(?i)\bloss\b['\"]?[ :=]{1,3}(?:tensor\()?nan\b|loss is nan|(?:nan|inf) (?:loss|grad)"
        r"|grad_norm['\"]?[ :=]{1,3}nan",
        "The loss became NaN: training diverged.",
        _smaller_steps,
    ),
    _rule(
        "training.too-long",
        r"(?i)maximum input token count \d+ exceeds limit",
        "A row has more tokens than the model takes.",
        _say("Shorten the rows that `tunedrop validate FOLDER` names, and drop again."),
    ),
    _rule(
        "training.template",
        r"(?i)input keys in the prompt template are found missing",
        "The prompt template asks for a field that some row does not have.",
        _say("Run `tunedrop validate FOLDER`: it names the rows; mend them or template.json, and drop again."),
    ),
    _rule(
        "training.data",
        r"(?i:invalid dataset\b)|does not match any expected format|JSONDecodeError|DatasetGenerationError"
        r"|UnicodeDecodeError|(?m:^KeyError: ['\"](?:dialog|messages|text|prompt|completion|instruction)['\"])",
        "The training script could not read the data.",
        _say("Run `tunedrop validate FOLDER`, mend what it names, and drop again."),
    ),
)
"""In the order in which they are asked: the first that fits explains the failure."""
