"""What answers of an imported model cost: Bedrock bills its copies in windows of five minutes, not its tokens."""

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
