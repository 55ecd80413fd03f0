"""Subnets, security groups and keys are looked up as they are; what does not exist is no error."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from tests.adapters.conftest import Script
from tunedrop.adapters.ec2 import EC2Network
from tunedrop.adapters.kms import KMSKeys
from tunedrop.domain.surroundings import Key, Subnet
from tunedrop.errors import RequestDeniedError, TransientError

SERVICE = "kms"
ARN = "arn:aws:kms:us-east-1:123456789012:key/1"
ENABLED = {"KeyMetadata": {"KeyId": "1", "KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT"}}


def test_a_network_is_told_without_what_does_not_exist(aws: Callable[[str], Any]) -> None:
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    network = EC2Network(ec2)

    told = network.subnets([subnet, "subnet-0"])
    assert told == {subnet: Subnet(vpc_id=vpc, free_addresses=11, reaches_s3=False)}
    assert network.security_groups([group, "sg-0"]) == {group: vpc}


def test_a_way_to_s3_is_an_endpoint_or_a_route_that_leaves_the_vpc(aws: Callable[[str], Any]) -> None:
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    one, two = (ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in range(2))
    own = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=own, SubnetId=one)
    (main,) = (
        each["RouteTableId"]
        for each in ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
        if any(link["Main"] for link in each["Associations"])
    )

    def reached() -> tuple[bool, bool]:
        told = EC2Network(ec2).subnets([one, two])
        return told[one].reaches_s3, told[two].reaches_s3

    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(RouteTableId=own, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    assert reached() == (False, False), "an instance of SageMaker's has no public address"
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.s3", RouteTableIds=[own])
    assert reached() == (True, False)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=one, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    assert reached() == (True, True), "a subnet without a table of its own has the main one"


def test_a_network_may_be_hidden(aws: Callable[[str], Any]) -> None:
    ec2 = aws("ec2")
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_subnets", "UnauthorizedOperation", http_status_code=403)
        stub.add_client_error("describe_security_groups", "UnauthorizedOperation", http_status_code=403)
        with pytest.raises(RequestDeniedError):
            EC2Network(ec2).subnets(["subnet-1"])
        with pytest.raises(RequestDeniedError):
            EC2Network(ec2).security_groups(["sg-1"])


def test_a_network_that_names_none_is_not_asked_for(script: Script) -> None:
    network = EC2Network(script.client)  # answers nothing of EC2's
    assert (network.subnets([]), network.security_groups([])) == ({}, {})


def test_a_key_is_tried_without_taking_a_data_key(script: Script) -> None:
    script.answers("describe_key", ENABLED, {"KeyId": ARN})
    script.fails("generate_data_key", "DryRunOperationException")
    assert KMSKeys(script.client).key(ARN) == Key(state="Enabled", symmetric=True, usable=True)


def test_a_key_whose_policy_keeps_us_out_is_not_usable(script: Script) -> None:
    script.answers("describe_key", ENABLED)
    script.fails("generate_data_key", "AccessDeniedException")
    assert KMSKeys(script.client).key(ARN) == Key(state="Enabled", symmetric=True, usable=False)


def test_a_key_that_is_disabled_or_asymmetric_is_not_tried(script: Script) -> None:
    script.answers("describe_key", {"KeyMetadata": {**ENABLED["KeyMetadata"], "KeyState": "Disabled"}})
    script.answers("describe_key", {"KeyMetadata": {**ENABLED["KeyMetadata"], "KeySpec": "RSA_2048"}})
    assert KMSKeys(script.client).key(ARN) == Key(state="Disabled", symmetric=True, usable=False)
    assert KMSKeys(script.client).key(ARN) == Key(state="Enabled", symmetric=False, usable=False)


@pytest.mark.parametrize("code", ["NotFoundException", "AccessDeniedException"])
def test_a_key_that_cannot_be_seen_is_none(script: Script, code: str) -> None:
    script.fails("describe_key", code)
    assert KMSKeys(script.client).key(ARN) is None


def test_throttling_passes(script: Script) -> None:
    script.fails("describe_key", "ThrottlingException")
    with pytest.raises(TransientError):
        KMSKeys(script.client).key(ARN)


@pytest.mark.parametrize(("state", "reached"), [("active", True), ("blackhole", False)])
def test_a_route_whose_end_is_gone_is_no_way_out(state: str, *, reached: bool) -> None:
    own = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailableIpAddressCount": 5}
    route = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": state}
    table = {"VpcId": "vpc-1", "Associations": [{"Main": True}], "Routes": [route]}
    script = Script("ec2").answers("describe_subnets", {"Subnets": [own]})
    script.answers("describe_route_tables", {"RouteTables": [table]})
    script.answers("describe_vpc_endpoints", {"VpcEndpoints": []})
    assert EC2Network(script.client).subnets(["subnet-1"])["subnet-1"].reaches_s3 is reached


def test_of_a_subnet_whose_route_tables_cannot_be_seen_nothing_is_held_against_it() -> None:
    lent = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailableIpAddressCount": 5}
    script = Script("ec2").answers("describe_subnets", {"Subnets": [lent]})
    script.answers("describe_route_tables", {"RouteTables": []}).answers("describe_vpc_endpoints", {"VpcEndpoints": []})
    assert EC2Network(script.client).subnets(["subnet-1"])["subnet-1"].reaches_s3
