"""The customer's key."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.surroundings import Key

if TYPE_CHECKING:
    from botocore.client import BaseClient

_NOT_OURS = frozenset({"NotFoundException", "AccessDeniedException", "InvalidArnException"})


class KMSKeys:
    """Look keys up, and try whether they can be used."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a KMS client."""
        self._client: Any = client

    def key(self, arn: str) -> Key | None:
        """Describe the key; None when there is none that this account may see."""
        try:
            with failures.transient():
                facts = self._client.describe_key(KeyId=arn)["KeyMetadata"]
        except ClientError as error:
            if failures.code(error) in _NOT_OURS:
                return None
            raise
        symmetric = facts.get("KeySpec") == "SYMMETRIC_DEFAULT"
        enabled = facts["KeyState"] == "Enabled"
        return Key(state=facts["KeyState"], symmetric=symmetric, usable=symmetric and enabled and self._encrypts(arn))

    def _encrypts(self, arn: str) -> bool:
        """Ask for a data key without taking one: AWS answers a dry run that would succeed with an error of its own.

        https://docs.aws.amazon.com/kms/latest/developerguide/testing-permissions.html
        """
        try:
            with failures.transient():
                self._client.generate_data_key(KeyId=arn, KeySpec="AES_256", DryRun=True)
        except ClientError as error:
            match failures.code(error):
                case "DryRunOperationException":
                    return True
                case "AccessDeniedException":
                    return False
            raise
        return True
