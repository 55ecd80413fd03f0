"""AWS's own specs of JumpStart's models, as they were captured: read where a checkout has them beside it."""

import json
from pathlib import Path

import pytest

REAL = Path(__file__).parents[2] / "shared" / "jumpstart"

# They are not ours to publish, so that a checkout alone cannot hold the code against them: catalogues of our own, of
# the same form, are tested everywhere.
real = pytest.mark.skipif(not REAL.is_dir(), reason="the captured specs of AWS's models are not beside this checkout")


def real_catalogue(folder: Path) -> Path:
    """Lay the captured specs out as the bucket has them, and the SDK looks for them."""
    for row in json.loads((REAL / "manifest.json").read_text()):
        path = folder / row["spec_key"]
        path.parent.mkdir(parents=True)
        path.write_bytes((REAL / f"spec.{row['model_id']}.json").read_bytes())
    (folder / "models_manifest.json").write_bytes((REAL / "manifest.json").read_bytes())
    return folder
