"""What stops a command, in words for the person who typed it."""

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.exceptions import (
    ConnectionError as ConnectionFailure,
)

CREDENTIALS_HINT = "Sign in (`aws configure` or `aws sso login`), or choose a profile with AWS_PROFILE."

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, TokenRetrievalError, UnauthorizedSSOTokenError)
_REFUSED_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOT_ALLOWED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class CommandError(Exception):
    """Say why a command cannot be carried out, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the `hint`, one sentence, beside the message."""
        super().__init__(message)
        self.hint = hint


def code(error: ClientError) -> str:
    """Read AWS's code of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explained(error: BotoCoreError | Boto3Error | ClientError) -> CommandError:
    """Translate what boto3 raised."""
    if isinstance(error, _NO_CREDENTIALS):
        return CommandError("No usable AWS credentials were found.", CREDENTIALS_HINT)
    if isinstance(error, ConnectionFailure):
        return CommandError(f"AWS cannot be reached: {error}", "Check the network, --region and AWS_ENDPOINT_URL.")
    if isinstance(error, ClientError):
        if code(error) in _REFUSED_CREDENTIALS:
            return CommandError(f"AWS refused the credentials: {error}", CREDENTIALS_HINT)
        if code(error) in _NOT_ALLOWED:
            return CommandError(f"AWS did not allow it: {error}", "Ask for the permission that the message names.")
    return CommandError(str(error))
