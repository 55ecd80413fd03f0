"""What goes wrong on AWS now and then, switched on: events lost, late or doubled, calls refused, workers dead.

Every choice is drawn from the seed, the name of its site (a rule's delivery, a function's call of an operation) and how
often the site was passed, so that the same seed meets the same site with the same fault. Which run passes a site when
is up to the computer; the seed repeats the faults, not the schedule.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from local.engine.settings import FaultSettings

Send = Callable[[Any], Awaitable[None]]
Fault = Literal["throttle", "kill-before", "kill-after", "lost-response"]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]*/[^/]*/([^/]+)/")
_NOTHING = FaultSettings()
_MOST_ORDINAL = 2
"""Of the same call repeated in one invocation, the first and the later ones are different sites; more are not."""


@dataclass(frozen=True, slots=True)
class Call:
    """Name a function's call of an AWS API."""

    function: str
    request_id: str
    service: str
    operation: str
    invocation_id: str
    """Botocore's, the same for the tries of one call."""


@dataclass(slots=True)
class _Invocation:
    """Count what an invocation of a function has called."""

    calls: Counter[str] = field(default_factory=Counter)
    killed: bool = False


class Faults:
    """Decide which deliveries and calls go wrong, and remember what did."""

    def __init__(self) -> None:
        """Let nothing go wrong, until it is switched on."""
        self._settings = _NOTHING
        self._passed: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._invocations: dict[str, _Invocation] = {}
        self._throttled: dict[str, bool] = {}
        self._killed_at: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._lock = threading.Lock()

    def switch(self, settings: FaultSettings) -> None:
        """Let this go wrong from now on."""
        with self._lock:
            self._settings = settings
            self._deaths.clear()

    @property
    def quiet(self) -> bool:
        """Whether nothing is to go wrong."""
        return self._settings == _NOTHING

    def met(self) -> dict[str, int]:
        """Count what went wrong, by `fault site`."""
        with self._lock:
            return dict(self._met)

    def deliveries(self, rule: str) -> list[float]:
        """Say after how many seconds each copy of an event reaches a rule's target: none when it is lost."""
        if self.quiet:
            return [0.0]
        with self._lock:
            site = f"delivery {rule}"
            if self._chosen("lose", site, self._settings.lose):
                return []
            copies = 1 + self._chosen("duplicate", site, self._settings.duplicate)
            return [self._delay(site) for _ in range(copies)]

    def of_call(self, call: Call) -> Fault | None:
        """Say what goes wrong with a call, if anything."""
        with self._lock:
            settings, site = self._settings, f"{call.function} {call.service} {call.operation}"
            if call.invocation_id not in self._throttled:
                self._throttled[call.invocation_id] = self._chosen("throttle", site, settings.throttle)
            if self._throttled[call.invocation_id]:
                return "throttle"
            if self._chosen("lost-response", site, settings.lost_response):
                return "lost-response"
            for fault in ("kill-before", "kill-after"):
                if self._chosen(fault, site, settings.kill / 2):
                    return fault
            return self._first_meeting(call, site) if settings.kill_each_call else None

    def _first_meeting(self, call: Call, site: str) -> Fault | None:
        """Kill once at each call that was never killed at before, and not again when the event is tried again."""
        invocation = self._invocations.setdefault(call.request_id, _Invocation())
        invocation.calls[site] += 1
        if self._deaths[call.function] >= self._settings.kill_each_call:
            return None
        for fault in ("kill-before", "kill-after"):
            each = f"{fault} {site} #{min(invocation.calls[site], _MOST_ORDINAL)}"
            if not invocation.killed and each not in self._killed_at:
                invocation.killed = True
                self._killed_at.add(each)
                self._deaths[call.function] += 1
                self._met[each] += 1
                return fault
        return None

    def _delay(self, site: str) -> float:
        late = self._chosen("delay", site, self._settings.delay)
        return self._draw(f"how late {site}") * self._settings.delay_seconds if late else 0.0

    def _chosen(self, fault: str, site: str, chance: float) -> bool:
        chosen = chance > 0 and self._draw(f"{fault} {site}") < chance
        self._met[f"{fault} {site}"] += chosen
        return chosen

    def _draw(self, site: str) -> float:
        """Draw a number from 0 to 1; under the lock."""
        self._passed[site] += 1
        drawn = hashlib.sha256(f"{self._settings.seed} {site} {self._passed[site]}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") / (1 << 64)


def caller(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the access key and the service that a request is signed with; empty when it is not."""
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    return (found[1], found[2]) if found else ("", "")


def operation(method: str, path: str, headers: Mapping[str, str]) -> str:
    """Name what a request asks for, as far as its head tells."""
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    return target or f"{method} {'object' if path.count('/') > 1 else 'bucket'}"


async def refuse(send: Send, service: str, fault: Literal["throttle", "lost-response"]) -> None:
    """Answer as the service does that has too much to do, or that fails after it did what was asked."""
    if fault == "throttle":
        code, status = ("SlowDown", 503) if service == "s3" else ("ThrottlingException", 400)
        code = "Throttling" if service == "sns" else code
    else:
        code, status = "InternalError", 500
    if service in {"s3", "sns"}:
        error = f"<Error><Code>{code}</Code><Message>Rate exceeded</Message></Error>"
        body, kind = (error if service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>"), "text/xml"
    else:
        body, kind = f'{{"__type": "{code}", "message": "Rate exceeded"}}', "application/x-amz-json-1.1"
    headers = [(b"content-type", kind.encode()), (b"x-amzn-errortype", code.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
