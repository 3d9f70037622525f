"""The template is read as CloudFormation reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.local import resources, template
from deploy.local.template import Made, Resolver
from marquee.errors import MarqueeError
from tests.support import ROOT

TEMPLATE = ROOT / "deploy" / "aws" / "template.yaml"


def resolver(**given: Any) -> Resolver:
    """Return a resolver of a template with a parameter, conditions and a resource."""
    whole = {
        "Parameters": {"Size": {"Default": 3}, "Count": {"Type": "Number", "Default": 1}},
        "Conditions": {"Big": {"Fn::Equals": [{"Ref": "Size"}, "9"]}},
        "Resources": {"Queue": {}, "Maybe": {"Condition": "Big"}},
    }
    made = Made("the-queue", {"Arn": "arn:q"})
    return Resolver(whole, "stack", given, lambda _: made)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"Ref": "Size"}, 3),
        ({"Ref": "Queue"}, "the-queue"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn:q"),
        ({"Fn::GetAtt": "Queue.Arn"}, "arn:q"),
        ({"Fn::Sub": "${AWS::StackName}-${Size}-${Queue.Arn}-${!Kept}"}, "stack-3-arn:q-${Kept}"),
        ({"Fn::Sub": ["${One}", {"One": {"Ref": "Size"}}]}, "3"),
        ({"Fn::If": ["Big", 1, 2]}, 2),
        ([1, {"Ref": "AWS::NoValue"}], [1]),
        ({"a": {"Fn::If": ["Big", 1, {"Ref": "AWS::NoValue"}]}}, {}),
        ({"Fn::Join": ["/", ["a", {"Ref": "Size"}]]}, "a/3"),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::Not": [{"Condition": "Big"}]}, True),
        ({"Fn::Or": [{"Condition": "Big"}, {"Fn::Equals": ["a", "a"]}]}, True),
        ({"Fn::And": [{"Condition": "Big"}, {"Fn::Equals": ["a", "a"]}]}, False),
    ],
)
def test_values_are_filled_in(given: Any, value: Any) -> None:
    assert resolver().value(given) == value


def test_a_parameter_given_wins_over_its_default() -> None:
    assert resolver(Size="9").wanted("Maybe")
    assert not resolver().wanted("Maybe")


def test_a_number_that_is_given_as_text_is_a_number() -> None:
    assert resolver().value({"Ref": "Count"}) == 1
    assert resolver(Count="512").value([{"Ref": "Count"}, {"Fn::Sub": "${Count}"}]) == [512, "512"]
    assert resolver(Count="0.5").value({"Ref": "Count"}) == 0.5
    assert resolver(Count="512").value({"Fn::Equals": [{"Ref": "Count"}, "512"]})
    with pytest.raises(MarqueeError, match="parameter Count is 'many'; a number is expected"):
        resolver(Count="many")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"Fn::ImportValue": "x"}, "Fn::ImportValue"),
        ({"Fn::GetAtt": ["Queue", "Colour"]}, "Queue.Colour"),
    ],
)
def test_what_is_not_known_is_named(given: Any, words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        resolver().value(given)


def test_a_parameter_without_a_value_is_named() -> None:
    with pytest.raises(MarqueeError, match="Bucket"):
        Resolver({"Parameters": {"Bucket": {}}}, "s", {}, lambda _: Made("", {}))


def test_every_resource_of_the_template_can_be_made() -> None:
    whole = template.read(TEMPLATE, {})
    kinds = {one["Type"] for one in whole["Resources"].values()}
    assert kinds - set(resources.MAKERS) - resources.LEFT_OUT == set()


def test_a_template_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match="there is no template"):
        template.read(tmp_path / "template.yaml", {})
