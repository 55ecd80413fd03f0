"""The network that training jobs are put into."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.surroundings import Subnet
from tunedrop.errors import RequestDeniedError

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
        with _refusals():
            told = self._client.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(ids)}])["Subnets"]
            found = [each for each in told if each["SubnetId"] in ids]
            vpcs = {"Name": "vpc-id", "Values": sorted({each["VpcId"] for each in found})}
            tables = self._client.describe_route_tables(Filters=[vpcs])["RouteTables"] if found else []
            endpoints = self._client.describe_vpc_endpoints(Filters=[vpcs])["VpcEndpoints"] if found else []
        to_s3 = [each for each in endpoints if each["ServiceName"].endswith(".s3")]
        return {
            each["SubnetId"]: Subnet(
                vpc_id=each["VpcId"],
                free_addresses=each["AvailableIpAddressCount"],
                reaches_s3=_reaches_s3(each, tables, to_s3),
            )
            for each in found
        }

    def security_groups(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the VPC of each that exists, by id."""
        if not ids:
            return {}
        with _refusals():
            filters = [{"Name": "group-id", "Values": list(ids)}]
            found = self._client.describe_security_groups(Filters=filters)["SecurityGroups"]
        return {each["GroupId"]: each["VpcId"] for each in found if each["GroupId"] in ids}


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        with failures.transient():
            yield
    except ClientError as error:
        # EC2's own word for what other services call AccessDenied.
        # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        if failures.code(error) == "UnauthorizedOperation":
            raise RequestDeniedError(failures.message(error)) from error
        raise


def _reaches_s3(
    subnet: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], endpoints: Sequence[Mapping[str, Any]]
) -> bool:
    """Tell whether an endpoint for S3, or a route that may lead to it, serves the subnet.

    Whatever leaves the VPC may end at S3 (NAT, a transit gateway, a network of one's own), except through an internet
    gateway, which serves public addresses, and to another VPC.
    """
    own = [each for each in tables if each["VpcId"] == subnet["VpcId"]]
    links = [(table, link) for table in own for link in table["Associations"]]
    table = next((table for table, link in links if link.get("SubnetId") == subnet["SubnetId"]), None)
    # A subnet without a table of its own has the VPC's main one.
    table = table or next((table for table, link in links if link.get("Main")), None)
    if table is None:
        # Every VPC has one; who was lent a subnet by another account may not see it, and nothing is known then.
        return True
    here = [each for each in endpoints if each["VpcId"] == subnet["VpcId"]]
    if any(each.get("VpcEndpointType") == "Interface" for each in here):
        return True
    # A gateway endpoint is a route of the tables that it was made for.
    gateways = {each["VpcEndpointId"] for each in here}
    return any(_leads_out(route, gateways) for route in table["Routes"])


def _leads_out(route: Mapping[str, Any], endpoints: Collection[str]) -> bool:
    if route.get("State") == "blackhole":
        return False  # what it led to is gone
    gateway = str(route.get("GatewayId", ""))
    if gateway.startswith("vpce-"):
        return gateway in endpoints
    if gateway:
        return gateway != "local" and not gateway.startswith("igw-")
    return bool(route.keys() & _WAYS_OUT)


_WAYS_OUT = frozenset({"NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId", "CoreNetworkArn"})
