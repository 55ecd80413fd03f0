"""The two spellings of JumpStart's documents: `training_supported` in a spec, `TrainingSupported` in a hub."""

from collections.abc import Mapping
from typing import Any


def field(document: Mapping[str, Any], name: str, *, default: Any = None) -> Any:
    """Return a field in whichever of the two spellings the document has it."""
    pascal = "".join(part.capitalize() for part in name.split("_"))
    return document.get(name, document.get(pascal, default))
