"""What a person may choose about an engine; everything else follows AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
# With these an AWS client is the account's root; ministack asks root for no signature.
ADMIN_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATUNEDROPLOCAL000",
    "AWS_SECRET_ACCESS_KEY": "local-administrator",
    "AWS_DEFAULT_REGION": REGION,
}
# Where the engine takes commands that AWS does not have, and the header that keeps a web page from giving them.
CONTROL_PATH = "/_tunedrop/"
CONTROL_HEADER = "x-tunedrop-access-key"


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """Say how often what goes wrong; nothing does by itself.

    Attributes:
        seed: of all choices.
        lose: chance that an event never reaches a rule's target.
        duplicate: chance that it does twice.
        delay: chance that a copy comes late, up to ``delay_seconds``, so that others overtake it.
        delay_seconds: how late at most.
        throttle: chance that a function's call is refused, in all the tries that boto3 gives it.
        lost_response: chance that a function's call does what it should, and is answered that it failed.
        kill: chance that a function's process dies at a call, before AWS takes it or after.
        kill_each_call: let functions die at every call that none died at before, before it and after it, but at most
            once while an event is tried again, and each function so often at most until this is said again.
    """

    seed: int = 0
    lose: float = 0
    duplicate: float = 0
    delay: float = 0
    delay_seconds: float = 3
    throttle: float = 0
    lost_response: float = 0
    kill: float = 0
    kill_each_call: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the engine's settings.

    Attributes:
        port: where the engine listens on 127.0.0.1; 0 takes the port it had before, else a free one.
        async_concurrency: asynchronous Lambda invocations that run at once, and children of a Distributed Map.
        retry_backoff_seconds: delay before the first retry of an asynchronous invocation, doubled for the next (60 on
            AWS, https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html).
        seconds_per_minute: how long a minute of a ``rate()`` schedule lasts (60 on AWS).
        deliveries: how often every event is delivered to every target (1, though AWS promises only at least once).
        pipe_poll_seconds: delay between two looks of a pipe at its stream.
        snapshot_seconds: shortest time between two snapshots of the state.
        services: what makes each further service: ``module:callable`` and its keyword arguments.
    """

    port: int = 0
    async_concurrency: int = 8
    retry_backoff_seconds: float = 1.0
    seconds_per_minute: float = 60.0
    deliveries: int = 1
    pipe_poll_seconds: float = 0.1
    snapshot_seconds: float = 0.5
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write the settings for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read settings that ``to_json`` wrote."""
        return cls(**json.loads(text))
