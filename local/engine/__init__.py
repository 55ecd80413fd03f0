"""ministack in one process, with what it lacks of AWS plugged in."""

from local.engine.client import Decision, Engine, EngineError
from local.engine.settings import Settings

__all__ = ["Decision", "Engine", "EngineError", "Settings"]
