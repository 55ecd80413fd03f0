"""What answers of a tuned model cost: Bedrock bills an import's copies in windows of five minutes, SageMaker hours."""

from tunedrop.domain.run import AnswerPrice

USD_PER_UNIT_MINUTE = 0.0785
"""Of one custom model unit: the price page's example, 0.1570 US dollars a minute for a copy of two units.

Read on 2026-10-05; it depends on the Region and on the units' version. https://aws.amazon.com/bedrock/pricing/
"""

WINDOW_MINUTES = 5
"""What is billed at least of a copy that was called.

https://docs.aws.amazon.com/bedrock/latest/userguide/import-model-calculate-cost.html
"""

_THOUSAND = 1_000


def answer_price(units_per_copy: int, mean_latency_ms: float, at_once: int) -> AnswerPrice:
    """Estimate a thousand answers' price: of one copy that answers `at_once` calls without a pause, and of lone calls.

    The storage of the model, which is billed by the month, is not in it; nor are further copies, which Bedrock adds
    under load.
    """
    usd_per_minute = units_per_copy * USD_PER_UNIT_MINUTE
    busy_minutes = _THOUSAND * mean_latency_ms / 60_000 / at_once
    return AnswerPrice(busy=usd_per_minute * busy_minutes, alone=usd_per_minute * WINDOW_MINUTES * _THOUSAND)


IDLE_MINUTES = 15
"""How long an endpoint keeps its instance after the last call: what a target tracking policy's alarm looks at.

https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
"""


def hosted_answer_price(usd_per_hour: float, mean_latency_ms: float, at_once: int) -> AnswerPrice:
    """Estimate the same of one instance of an endpoint that scales to zero; one that does not costs its hours."""
    busy_hours = _THOUSAND * mean_latency_ms / 3_600_000 / at_once
    return AnswerPrice(busy=usd_per_hour * busy_hours, alone=usd_per_hour * IDLE_MINUTES / 60 * _THOUSAND)
