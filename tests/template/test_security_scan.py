"""`make security` reports what nobody waived, and waivers that waive nothing; the scanners themselves run there."""

import importlib.util
import sys
from types import ModuleType

import pytest

from local.deploy import load_template
from local.fold import fold
from tests.stack import ROOT


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("security_scan", ROOT / ".ci" / "security.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


scan = _load()
FINDING = scan.Finding("plain", "CKV_1", "Bucket", "It is open.")
WAIVER = scan.Waiver("CKV_1", ("Bucket",), ("plain",), "It holds nothing.")


def test_a_finding_with_a_waiver_is_no_problem() -> None:
    assert scan.judge([FINDING], [WAIVER]) == []
    assert scan.judge([FINDING], [WAIVER._replace(resources=("all",))]) == []


@pytest.mark.parametrize(
    "other", [FINDING._replace(stack="safe"), FINDING._replace(rule="CKV_2"), FINDING._replace(resource="Queue")]
)
def test_a_waiver_covers_its_own_rule_resource_and_stack_alone(other: object) -> None:
    (problem,) = scan.judge([FINDING, other], [WAIVER])
    assert problem.endswith("It is open.")


def test_a_waiver_of_nothing_is_a_problem() -> None:
    (problem,) = scan.judge([], [WAIVER])
    assert "nothing to waive" in problem


def test_a_waiver_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="CKV_1"):
        scan.read_waivers("- {rule: CKV_1, resources: [all], reason: ' '}")


def test_the_waivers_of_the_template_have_reasons_and_name_its_resources() -> None:
    resources = load_template(ROOT / "template.yaml")["Resources"]
    for waiver in scan.read_waivers(scan.WAIVERS.read_text()):
        assert set(waiver.resources) <= {"all", *resources}
        assert set(waiver.stacks) <= set(scan.STACKS)


@pytest.mark.parametrize("stack", ["plain", "safe"])
def test_the_scanners_are_given_what_sam_would_deploy(stack: str) -> None:
    template = scan.transformed(ROOT / "template.yaml", scan.STACKS[stack])
    kinds = {each["Type"] for each in template["Resources"].values()}
    assert "AWS::Lambda::Function" in kinds
    assert not {kind for kind in kinds if kind.startswith("AWS::Serverless")}
    assert "Fn::If" not in str(template)
    assert ("KeyAccess" in template["Resources"]) == (stack == "safe")


def test_conditions_are_settled_as_cloudformation_does() -> None:
    template = {
        "Parameters": {
            "Names": {"Type": "CommaDelimitedList", "Default": ""},
            "Key": {"Type": "String", "Default": ""},
        },
        "Conditions": {
            "HasNames": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Names"}]}, ""]}]},
            "HasKey": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Key"}, ""]}]},
            "HasBoth": {"Fn::And": [{"Condition": "HasNames"}, {"Condition": "HasKey"}]},
            "HasAny": {"Fn::Or": [{"Condition": "HasNames"}, {"Condition": "HasKey"}]},
        },
        "Resources": {
            "Named": {"Type": "T", "Condition": "HasNames", "Properties": {"Names": {"Ref": "Names"}}},
            "Both": {"Type": "T", "Condition": "HasBoth"},
            "Any": {"Type": "T", "Condition": "HasAny"},
            "Always": {
                "Type": "T",
                "Properties": {
                    "Key": {"Fn::If": ["HasKey", {"Ref": "Key"}, {"Ref": "AWS::NoValue"}]},
                    "Rules": [1, {"Fn::If": ["HasKey", 2, {"Ref": "AWS::NoValue"}]}],
                    "Name": {"Fn::Sub": "${AWS::StackName}"},
                },
            },
        },
    }
    plain = fold(template)["Resources"]
    assert plain == {"Always": {"Type": "T", "Properties": {"Rules": [1], "Name": {"Fn::Sub": "${AWS::StackName}"}}}}
    assert set(fold(template, {"Key": "k"})["Resources"]) == {"Always", "Any"}
    full = fold(template, {"Names": "a,b", "Key": "k"})["Resources"]
    assert set(full) == {"Always", "Any", "Both", "Named"}
    assert full["Named"] == {"Type": "T", "Properties": {"Names": ["a", "b"]}}
    assert full["Always"]["Properties"]["Key"] == "k"
    assert full["Always"]["Properties"]["Rules"] == [1, 2]
