"""What one may set about the local Bedrock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the quotas and times of the local Bedrock.

    Attributes:
        imported_models: imported models per account (quota L-45B04988).
        import_jobs: import jobs that may run at once (quota L-5F098EFA, not adjustable).
        loaded_models: models in memory; loading one more evicts the one that has been idle longest.
        idle_seconds: a model that is not called for so long leaves memory; Bedrock scales to zero after 5 minutes.
        batch_size: the most prompts that are generated together.
        grade_seconds: how long an evaluation job takes for one answer; a real judge takes a second or more.
    """

    imported_models: int = 3
    import_jobs: int = 1
    loaded_models: int = 2
    idle_seconds: float = 300
    batch_size: int = 8
    grade_seconds: float = 0
