"""The template's values as CloudFormation would make them, and the rights it gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from deploy.aws import validate
from deploy.aws.actions import as_list

REGION = "eu-west-1"
ACCOUNT = "123456789012"
PSEUDO = {
    "AWS::StackName": "stage",
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
}
BUCKET = "AWS::S3::Bucket"
# The name under which the SDK signs a form for an upload; it tells the bucket alone.
FORM = "CreateBucket"


def resolved(template: validate.Template, value: Any) -> str:
    """Return a value at the parameters' defaults."""
    if not isinstance(value, dict):
        return str(value)
    ((function, argument),) = value.items()
    if function == "Ref":
        return reference(template, argument)
    if function == "Fn::GetAtt":
        name, attribute = argument if isinstance(argument, list) else argument.split(".")
        return _attribute(template, name, attribute)
    assert function == "Fn::Sub", value
    return re.sub(r"\$\{([^}]+)\}", lambda found: _named(template, found[1]), argument)


def _named(template: validate.Template, name: str) -> str:
    resource, _, attribute = name.partition(".")
    return _attribute(template, resource, attribute) if attribute else reference(template, name)


def reference(template: validate.Template, name: str) -> str:
    """Return what ``Ref`` gives: a parameter's default, or a resource's name."""
    if name in PSEUDO:
        return PSEUDO[name]
    if name in template["Parameters"]:
        return str(template["Parameters"][name].get("Default", "models"))
    resource = template["Resources"][name]
    if resource["Type"] == BUCKET:
        return resolved(template, resource["Properties"]["BucketName"])
    return f"stage-{name.lower()}"


def _attribute(template: validate.Template, name: str, attribute: str) -> str:
    assert attribute == "Arn", (name, attribute)
    own = reference(template, name)
    if template["Resources"][name]["Type"] == BUCKET:
        return f"arn:aws:s3:::{own}"
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{own}"


def rights(template: validate.Template, function: str) -> Iterator[tuple[str, str]]:
    """Yield every action and resource that a function is allowed."""
    for policy in template["Resources"][function]["Properties"]["Policies"]:
        for statement in policy["Statement"]:
            for action in as_list(statement["Action"]):
                for resource in as_list(statement["Resource"]):
                    yield action, resolved(template, resource)


def allowed(
    template: validate.Template, function: str, model: Any, params: Mapping[str, Any]
) -> bool:
    """Say whether a function may make the SDK's call."""
    if model.name == FORM:
        place = f"arn:aws:s3:::{params['Bucket']}/"
        return any(
            action == "s3:PutObject" and granted.startswith(place)
            for action, granted in rights(template, function)
        )
    action, resource = _asked(model.service_model.service_name, model.name, params)
    return any(
        action == granted and fnmatchcase(resource, pattern)
        for granted, pattern in rights(template, function)
    )


def _asked(service: str, operation: str, params: Mapping[str, Any]) -> tuple[str, str]:
    if service == "s3":
        action = {"HeadObject": "GetObject"}.get(operation, operation)
        return f"s3:{action}", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"
    where = f"{REGION}:{ACCOUNT}"
    if service == "dynamodb":
        return f"dynamodb:{operation}", f"arn:aws:dynamodb:{where}:table/{params['TableName']}"
    name = params["EndpointName"]
    return f"sagemaker:{operation}", f"arn:aws:sagemaker:{where}:endpoint/{name}"
