"""Who may do what: checks that ministack leaves out, and a record of every decision."""

from __future__ import annotations

import contextvars
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam as iam_service
from ministack.services import sts

from local.engine.host import AwsError
from local.engine.settings import ACCOUNT_ID, REGION

request_access_key: contextvars.ContextVar[str] = contextvars.ContextVar("request_access_key", default="")


class Decisions:
    """Record each decision about a role as a JSON line: time, role, action, resource, allowed."""

    def __init__(self, path: Path) -> None:
        """Append to the file, made when missing."""
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def record(self, role: str, action: str, resource: str, *, allowed: bool) -> None:
        """Append one decision; ``role`` is the role's name."""
        line = {"time": time.time(), "role": role, "action": action, "resource": resource, "allowed": allowed}
        with self._lock:
            self._file.write(json.dumps(line) + "\n")


def _evict_expired_sessions() -> None:
    """Drop the sessions that are over; ministack's own fails when another thread opens one meanwhile."""
    for access_key, session in sts._sessions.copy().items():
        if sts._session_expired(session):
            sts._sessions.pop(access_key, None)


class Iam:
    """Decide for roles, and make sessions of them."""

    def __init__(self, decisions: Decisions) -> None:
        """Enforce from now on, and record to ``decisions``."""
        self._decisions = decisions
        self._enforce = iam_evaluator.enforce
        iam_evaluator.enforce = self.enforce
        sts._evict_expired_sessions = _evict_expired_sessions

    def enforce(
        self,
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        """Decide about a request as ministack does, and record what was decided about a role.

        Returns:
            None when allowed, else ministack's EvalResult or AuthError.
        """
        denied = self._enforce(
            access_key_id, iam_action, service, region, resource_arn=resource_arn, service_context=service_context
        )
        session = sts._sessions.get(access_key_id)
        if session is not None and not isinstance(denied, iam_evaluator.AuthError):
            role = iam_evaluator._role_name_from_assumed_arn(session["Arn"])
            self._decisions.record(role, iam_action, resource_arn, allowed=denied is None)
        return denied

    def role_may(self, role_arn: str, action: str, resource_arn: str, context: Mapping[str, str] | None = None) -> bool:
        """Tell whether a role's policies allow an action that a service takes in its name, and record it."""
        name = role_arn.rsplit("/", 1)[-1]
        result = iam_evaluator.evaluate(
            iam_evaluator.EvalContext(
                principal_arn=f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/service",
                principal_type="AssumedRole",
                principal_account=ACCOUNT_ID,
                action=action,
                resource_arn=resource_arn,
                region=REGION,
                service_context={key.lower(): value for key, value in (context or {}).items()},
            ),
            iam_evaluator._gather_role_policies(name, ACCOUNT_ID),
        )
        allowed = bool(result.decision == "Allow")
        self._decisions.record(name, action, resource_arn, allowed=allowed)
        return allowed

    def caller_arn(self) -> str:
        """Return the role's ARN, or root's, of the request being served."""
        caller: str = iam_evaluator.caller_arn()
        role = iam_service._roles.get(iam_evaluator._role_name_from_assumed_arn(caller))
        return str(role["Arn"]) if role else caller

    def pass_role(self, role_arn: str, service: str) -> None:
        """Check that the request's caller may pass the role to the service, and that the service may assume it.

        Raises:
            AwsError: as ``Host.pass_role`` says.
        """
        denied = self.enforce(
            request_access_key.get(), "iam:PassRole", "iam", REGION, role_arn, {"iam:PassedToService": service}
        )
        if denied:
            raise AwsError(
                "AccessDeniedException",
                f"User: {iam_evaluator.caller_arn()} is not authorized to perform: iam:PassRole on resource: "
                f"{role_arn} because no identity-based policy allows the iam:PassRole action",
            )
        if not self.trusts(role_arn, service):
            raise AwsError(
                "ValidationException",
                f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
                f"'{service}' to assume the role.",
            )

    def trusts(self, role_arn: str, service: str) -> bool:
        """Tell whether the role exists and its trust policy admits the service principal."""
        role = iam_service._roles.get(role_arn.rsplit("/", 1)[-1])
        if role is None or role["Arn"] != role_arn:
            return False
        document = role["AssumeRolePolicyDocument"]
        policy = json.loads(document) if isinstance(document, str) else document
        statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
        return any(
            statement["Effect"] == "Allow"
            and iam_evaluator._service_principal_matches(statement.get("Principal"), service)
            for statement in statements
        )

    def session(self, role_arn: str, name: str) -> dict[str, str]:
        """Open a session of the role.

        Returns:
            AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
        """
        role = role_arn.rsplit("/", 1)[-1]
        access_key = "ASIA" + secrets.token_hex(8).upper()
        secret, token = secrets.token_urlsafe(30), secrets.token_urlsafe(60)
        sts.register_session(
            access_key,
            {
                "Arn": f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role}/{name}",
                "UserId": f"AROA{hashlib.sha256(role.encode()).hexdigest()[:17].upper()}:{name}",
                "SecretAccessKey": secret,
                "SessionToken": token,
            },
        )
        return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
