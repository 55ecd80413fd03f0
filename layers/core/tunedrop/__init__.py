"""Drop a dataset, get a tuned model behind Amazon Bedrock Converse, and the proof that it is better.

For programs that call a tuned model: `tunedrop.Model("dataset").converse(messages=...)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunedrop.client import Model

__all__ = ["Model"]


def __getattr__(name: str) -> Any:
    """Import the client when somebody asks for it: the functions import this package too, and never do."""
    if name == "Model":
        from tunedrop.client import Model  # noqa: PLC0415 - as said above

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
