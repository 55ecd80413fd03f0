"""The network that training jobs are put into."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunedrop.adapters import failures
from tunedrop.domain.surroundings import Subnet

if TYPE_CHECKING:
    from botocore.client import BaseClient


class EC2Network:
    """Look subnets and security groups up; by filter, since a list of ids with an unknown one is an error.

    A filter without values is an error as well, so that EC2 is not asked for none. The answer is looked through again:
    the embedded AWS knows fewer filters than AWS.
    """

    def __init__(self, client: "BaseClient") -> None:
        """Use an EC2 client."""
        self._client: Any = client

    def subnets(self, ids: Sequence[str]) -> dict[str, Subnet]:
        """Return those that exist, by id."""
        if not ids:
            return {}
        with failures.transient():
            found = self._client.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(ids)}])["Subnets"]
        return {
            each["SubnetId"]: Subnet(vpc_id=each["VpcId"], free_addresses=each["AvailableIpAddressCount"])
            for each in found
            if each["SubnetId"] in ids
        }

    def security_groups(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the VPC of each that exists, by id."""
        if not ids:
            return {}
        with failures.transient():
            filters = [{"Name": "group-id", "Values": list(ids)}]
            found = self._client.describe_security_groups(Filters=filters)["SecurityGroups"]
        return {each["GroupId"]: each["VpcId"] for each in found if each["GroupId"] in ids}
