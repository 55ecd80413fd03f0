"""Hugging Face `load_dataset("json")`, as training scripts read rows; it converts, and stops at what it cannot."""

import tempfile
from pathlib import Path

import datasets
from protocol import Verdict, run

datasets.disable_progress_bars()
datasets.logging.set_verbosity(datasets.logging.CRITICAL)


def check(_technique: str, path: Path) -> Verdict:
    """Load the file into a cache of its own."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as cache:
        try:
            verdict.rows = len(datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=cache))
        except Exception as error:  # noqa: BLE001 - whatever it raises is its verdict
            verdict.refuse(f"{type(error).__name__}: {error.__cause__ or error}")
    return verdict


run(check)
