"""The aliases of promoted models, as SSM parameters."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures

if TYPE_CHECKING:
    from botocore.client import BaseClient


class SSMAliases:
    """Keep one parameter a dataset; SSM's own history tells the former champions."""

    def __init__(self, client: "BaseClient") -> None:
        """Use an SSM client."""
        self._client: Any = client

    def get(self, name: str) -> str | None:
        """Return the ARN that the alias names."""
        try:
            with failures.transient():
                return str(self._client.get_parameter(Name=name)["Parameter"]["Value"])
        except ClientError as error:
            if failures.code(error) == "ParameterNotFound":
                return None
            raise

    def put(self, name: str, model_arn: str) -> None:
        """Point the alias at a model."""
        with failures.transient():
            self._client.put_parameter(Name=name, Value=model_arn, Type="String", Overwrite=True)
