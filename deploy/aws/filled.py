"""The template with every value filled in, as CloudFormation would hand it to AWS's services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.local import account
from deploy.local.template import Made, Resolver

STACK = "marquee"
KEY = f"arn:aws:kms:{account.REGION}:{account.ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
MODELS = ("CifarVgg11", "CifarLenet", "Inkwash", "Rotifer", "Smoke", "Timetravel")
# All that can be deployed, on AWS's own keys and the processor types of the defaults ...
PLAIN = {"ModelBucket": "models"} | {f"{one}Model": "model.tar.gz" for one in MODELS}
# ... and with all that is optional: GPUs but for smoke, keys, a VPC, and who is told.
ALL = PLAIN | {
    **{f"{one}InstanceType": "ml.g5.xlarge" for one in ("Cifar", "Inkwash", "Rotifer")},
    "Key": KEY,
    "ModelKey": KEY,
    "Subnets": "subnet-0a,subnet-0b",
    "SecurityGroups": "sg-0a",
    "ApiLogs": "on",
    "AlarmEmail": "someone@example.org",
}
_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:{where}:table/{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:{where}:{name}",
    "AWS::SNS::Topic": "arn:aws:sns:{where}:{name}",
    "AWS::IAM::Role": f"arn:aws:iam::{account.ACCOUNT}:role/{{name}}",
    "AWS::Lambda::Function": "arn:aws:lambda:{where}:function:{name}",
}


class _Attributes(Mapping[str, str]):
    """A resource's attributes: an ARN of its kind, and otherwise its name."""

    def __init__(self, arn: str, name: str) -> None:
        self._arn, self._name = arn, name

    def __getitem__(self, key: str) -> str:
        return self._arn if key.endswith("Arn") else self._name

    def __contains__(self, key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(("Arn", "Name"))

    def __len__(self) -> int:
        return 2


def resources(
    template: dict[str, Any], parameters: Mapping[str, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, type and filled-in properties of all resources whose conditions hold.

    ``template`` is plain CloudFormation: expanded, without serverless resources.
    """
    where = f"{account.REGION}:{account.ACCOUNT}"

    def made(name: str) -> Made:
        resource = template["Resources"][name]
        kind, given = resource["Type"], resource.get("Properties", {})
        own = given.get("BucketName", given.get("EndpointName"))
        called = f"{STACK}-{name}" if own is None else str(resolver.value(own))
        arn = _ARNS.get(kind, "arn:aws:other:{where}:{name}").format(where=where, name=called)
        return Made(arn if kind == "AWS::SNS::Topic" else called, _Attributes(arn, called))

    resolver = Resolver(template, STACK, parameters, made)
    for name, resource in template["Resources"].items():
        if resolver.wanted(name):
            yield name, resource["Type"], resolver.value(resource.get("Properties", {}))
