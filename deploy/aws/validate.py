"""What no linter knows of our template: who may do what, and what nothing may lack.

``python -m deploy.aws.validate`` prints a sentence a problem, and fails where there is one.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cfnlint.decode import decode
from samtranslator.translator.transform import transform

from deploy.aws import actions, filled, shapes
from deploy.aws.actions import as_list

TEMPLATE = Path(__file__).with_name("template.yaml")
# These actions cannot be limited to a resource.
BOUNDLESS = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
}
SAM_FUNCTION = "AWS::Serverless::Function"

Template = dict[str, Any]


class _NoPolicies:
    """The transform asks for AWS's managed policies by name; the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


def load(path: Path = TEMPLATE) -> Template:
    """Return the template as written, its short forms (``!Ref``) spelt out.

    Raises:
        ValueError: it is not well-formed.
    """
    template, matches = decode(str(path))
    if matches:
        raise ValueError(f"{path} cannot be read: {matches[0].message}")
    plain: Template = json.loads(json.dumps(template))
    return plain


def expanded(template: Template) -> Template:
    """Return what CloudFormation makes of the template's serverless resources."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the transform looks for one
    # It warns of a switch of its own that it finds nowhere.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    copy = json.loads(json.dumps(template))
    copy["Globals"]["Function"]["CodeUri"] = "s3://code/functions.zip"  # as after sam package
    parameters = {"ModelBucket": "models"}
    made: Template = transform(copy, parameters, _NoPolicies())
    return made


def of_kind(template: Template, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and properties of all resources of a kind."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement of every policy, with its resource's name."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [
            properties.get("PolicyDocument"),
            properties.get("AssumeRolePolicyDocument"),
            # One that depends on a condition counts as if it held.
            *(
                policy.get("Fn::If", [None, policy])[1]["PolicyDocument"]
                for policy in properties.get("Policies", [])
            ),
        ]
        for document in filter(None, documents):
            for statement in as_list(document["Statement"]):
                yield name, statement


def wide_rights(template: Template) -> Iterator[str]:
    """Allowed is only what is named: no action, resource or principal by a star alone."""
    for name, statement in statements(template):
        if statement["Effect"] != "Allow":
            continue
        actions = as_list(statement["Action"])
        for action in actions:
            if "*" in action:
                yield f"{name} allows '{action}'; name the actions"
        if "*" in as_list(statement.get("Resource", [])) and not BOUNDLESS.issuperset(actions):
            yield f"{name} allows {actions} on every resource; name the resources"
        if statement.get("Principal") in ("*", {"AWS": "*"}):
            yield f"{name} allows {actions} to everybody; name a principal"


def open_buckets(template: Template) -> Iterator[str]:
    """Every bucket is encrypted, private, reached by TLS alone, and forgets."""
    guarded = {
        json.dumps(properties["Bucket"])
        for _, properties in of_kind(template, "AWS::S3::BucketPolicy")
        if "aws:SecureTransport" in json.dumps(properties["PolicyDocument"])
    }
    for name, properties in of_kind(template, "AWS::S3::Bucket"):
        blocks = properties.get("PublicAccessBlockConfiguration", {})
        if len(blocks) != 4 or not all(blocks.values()):
            yield f"{name} may be made public; set all of PublicAccessBlockConfiguration"
        if "BucketEncryption" not in properties:
            yield f"{name} is not encrypted; add BucketEncryption"
        if "LifecycleConfiguration" not in properties:
            yield f"{name} keeps its objects for ever; add LifecycleConfiguration"
        if json.dumps({"Ref": name}) not in guarded:
            yield f"{name} is reached without TLS; add a policy that denies it"


def careless_functions(template: Template) -> Iterator[str]:
    """Every function is traced, ends, logs to a group that forgets, and loses no event."""
    default = template["Globals"]["Function"]
    for name, own in of_kind(template, SAM_FUNCTION):
        properties = default | own
        if properties.get("Tracing") != "Active":
            yield f"{name} is not traced; set Tracing: Active"
        if "LogGroup" not in properties.get("LoggingConfig", {}):
            yield f"{name} has no log group of ours; set LoggingConfig.LogGroup"
        kinds = {event["Type"] for event in properties.get("Events", {}).values()}
        if "Api" in kinds and properties["Timeout"] > 29:
            yield f"{name} may run for {properties['Timeout']} s, but the gateway waits for 29"
        on_failure = properties.get("EventInvokeConfig", {}).get("DestinationConfig", {})
        if kinds & {"S3", "SNS"} and "OnFailure" not in on_failure:
            yield f"{name} loses events that it fails on; set EventInvokeConfig's OnFailure"


def endless_logs(template: Template) -> Iterator[str]:
    """Every log group forgets."""
    for name, properties in of_kind(template, "AWS::Logs::LogGroup"):
        if "RetentionInDays" not in properties:
            yield f"{name} keeps logs for ever; set RetentionInDays"


def plain_stores(template: Template) -> Iterator[str]:
    """Queues and tables are encrypted; items expire."""
    for name, properties in of_kind(template, "AWS::SQS::Queue"):
        if not properties.get("SqsManagedSseEnabled"):
            yield f"{name} is not encrypted; set SqsManagedSseEnabled"
    for name, properties in of_kind(template, "AWS::DynamoDB::Table"):
        if not properties.get("SSESpecification", {}).get("SSEEnabled"):
            yield f"{name} is not encrypted; set SSESpecification"
        if "TimeToLiveSpecification" not in properties:
            yield f"{name} keeps its items for ever; set TimeToLiveSpecification"


def open_routes(template: Template) -> Iterator[str]:
    """Every route wants an API key, but for the browsers' question before; all are throttled."""
    for name, properties in of_kind(template, "AWS::ApiGateway::RestApi"):
        for path, methods in properties["Body"]["paths"].items():
            for method, route in methods.items():
                if method != "options" and {"api_key": []} not in route.get("security", []):
                    yield f"{name} answers {method.upper()} {path} without a key"
    for name, properties in of_kind(template, "AWS::ApiGateway::Stage"):
        settings = properties.get("MethodSettings", [])
        if not any("ThrottlingRateLimit" in one for one in settings):
            yield f"{name} is not throttled; set MethodSettings"


def unsafe_updates(template: Template) -> Iterator[str]:
    """Every endpoint goes back to the old container where the new one raises an alarm."""
    for name, properties in of_kind(template, "AWS::SageMaker::Endpoint"):
        if not properties.get("DeploymentConfig", {}).get("AutoRollbackConfiguration"):
            yield f"{name} keeps a bad container; set DeploymentConfig's AutoRollbackConfiguration"


def refused_values(template: Template) -> Iterator[str]:
    """What the template's resources become is what AWS's calls and actions take."""
    for parameters in (filled.PLAIN, filled.ALL):
        for name, kind, properties in filled.resources(template, parameters):
            yield from shapes.resource_misfits(name, kind, properties)
            for _, statement in statements({"Resources": {name: {"Properties": properties}}}):
                if statement["Effect"] == "Allow":
                    yield from actions.unknown_rights(name, statement)


AS_WRITTEN: tuple[Callable[[Template], Iterator[str]], ...] = (careless_functions,)
EXPANDED: tuple[Callable[[Template], Iterator[str]], ...] = (
    wide_rights,
    open_buckets,
    endless_logs,
    plain_stores,
    open_routes,
    unsafe_updates,
    refused_values,
)


def problems(template: Template) -> list[str]:
    """Return a sentence for each thing that the template lacks or allows too much of."""
    made = expanded(template)
    found = [sentence for rule in AS_WRITTEN for sentence in rule(template)]
    found += [sentence for rule in EXPANDED for sentence in rule(made)]
    return list(dict.fromkeys(found))


def main() -> int:
    """Print the problems of our template; return the exit code."""
    found = problems(load())
    for sentence in found:
        sys.stderr.write(f"{TEMPLATE.name}: {sentence}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
