"""One deployed application for all tests here; each uses datasets of its own."""

from collections.abc import Iterator

import pytest

from local.application import furnish, settings
from local.engine import Engine
from local.jumpstart.specs import TINY_LLAMA, TINY_LLAMA_GATED, TINY_LLAMA_SERVERLESS, TINY_QWEN_SERVERLESS
from tests.deployed import MLFLOW_SERVER_ARN, Application
from tunedrop.domain.run import Run, RunStatus

AT_ONCE_MEGABYTES = "0.02"
RANGE_MEGABYTES = "0.004"
"""So small that a few hundred rows are a large dataset, and the others are not."""

EVALUATE_AT_ONCE_ROWS = "30"
EVALUATION_RANGE_ROWS = "12"

AUTO_APPROVE_USD = "100"
"""More than any instance type whose price is known costs in a day: nobody is asked but about an unknown price."""


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Deploy the application once; tests use datasets of their own."""
    models = (TINY_LLAMA, TINY_LLAMA_GATED, TINY_LLAMA_SERVERLESS, TINY_QWEN_SERVERLESS)
    # Each invocation that runs beside others of its function starts a worker: more than a few at once only queue for
    # the cores.
    chosen = settings(models=models, imported_models=10, seconds_per_minute=2.0, async_concurrency=4)
    with Engine(tmp_path_factory.mktemp("aws"), chosen) as engine:
        outputs = furnish(
            engine,
            models=models,
            ValidateAtOnceMegabytes=AT_ONCE_MEGABYTES,
            ValidationRangeMegabytes=RANGE_MEGABYTES,
            MlflowServerArn=MLFLOW_SERVER_ARN,
            EvaluateAtOnceRows=EVALUATE_AT_ONCE_ROWS,
            EvaluationRangeRows=EVALUATION_RANGE_ROWS,
            AutoApproveUsd=AUTO_APPROVE_USD,
        )
        yield Application(engine, outputs)


@pytest.fixture(scope="session")
def promoted(application: Application) -> Run:
    """Drop the colours and have their model promoted, once for all tests that ask for one."""
    run = application.wait(application.drop("colours"))
    assert run.status is RunStatus.PROMOTED, run.reason
    return run
