"""Trained for real: the same rows are promoted with their labels, and not with the labels shuffled. `make shuffled`.

No test of every commit, for it trains twice what others train once.
"""

import json
import random

from tests.deployed import LEARNS, TEMPLATE, Application, lines, rows
from tunedrop.domain.run import Run, RunStatus


def tuned(application: Application, dataset: str, *, shuffled: bool) -> Run:
    learnt = rows(0, 10)
    labels = [row["feeling"] for row in learnt]
    if shuffled:
        random.Random(3).shuffle(labels)  # noqa: S311 - repeatable, not secret
    files = {
        "train.jsonl": lines([row | {"feeling": label} for row, label in zip(learnt, labels, strict=True)]),
        "held-out.jsonl": lines(rows(50, 4)),
        "template.json": json.dumps(TEMPLATE).encode(),
    }
    application.upload(dataset, files)
    return application.wait(application.start(dataset, hyperparameters=LEARNS))


def test_the_right_labels_are_promoted(application: Application) -> None:
    run = tuned(application, "labelled", shuffled=False)
    assert run.status is RunStatus.PROMOTED, run.reason


def test_shuffled_labels_are_not_promoted(application: Application) -> None:
    run = tuned(application, "shuffled", shuffled=True)
    assert run.status is RunStatus.NOT_PROMOTED, run.reason
    assert run.evaluation
    assert run.evaluation.candidate.rows == 24
