"""List prices of training instances, for budgets and for telling what a run cost."""

_AS_OF = "2026-10"
"""When the table was read: on-demand training in us-east-1, US dollars an hour.

AWS's Price List Service is not asked: it answers in three regions only, and a plan must not hang on it.
https://aws.amazon.com/sagemaker/ai/pricing/
"""

_USD_PER_HOUR = {
    ("us-east-1", "ml.g5.2xlarge"): 1.515,
    ("us-east-1", "ml.g5.4xlarge"): 2.03,
    ("us-east-1", "ml.g5.8xlarge"): 3.06,
    ("us-east-1", "ml.g5.12xlarge"): 7.09,
    ("us-east-1", "ml.g5.24xlarge"): 10.18,
    ("us-east-1", "ml.g5.48xlarge"): 20.36,
    ("us-east-1", "ml.g6.2xlarge"): 1.222,
    ("us-east-1", "ml.g6.12xlarge"): 5.752,
    ("us-east-1", "ml.g6e.12xlarge"): 13.12,
    ("us-west-2", "ml.p4d.24xlarge"): 25.25,
}


def usd_per_hour(instance_type: str, region: str) -> float | None:
    """Return the price of one instance, in US dollars an hour; None when it is not known."""
    return _USD_PER_HOUR.get((region, instance_type))
