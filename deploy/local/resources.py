"""How each type of the template's resources is made, by the same calls that AWS takes.

What the SDK calls as the template does goes over as it is, and is checked by the SDK's own
models: a property that AWS does not know fails here as well.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.local import account
from deploy.local.template import CODE_BUCKET, Made
from marquee.errors import MarqueeError

if TYPE_CHECKING:
    from deploy.local.stack import Stack

Props = dict[str, Any]


Maker = Callable[["Stack", str, Props], Made]


def arn(service: str, name: str, region: str = account.REGION) -> str:
    """Return the ARN of something in this account."""
    return f"arn:aws:{service}:{region}:{account.ACCOUNT}:{name}"


def text(value: Any) -> str:
    """Return a setting as AWS wants it in a map of texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def bucket(stack: Stack, name: str, props: Props) -> Made:
    """Make a bucket, its notifications included, which CloudFormation emulators drop."""
    s3 = stack.client("s3")
    called = props.get("BucketName") or f"{stack.name}-{name}".lower()
    s3.create_bucket(Bucket=called)
    if rules := props.get("CorsConfiguration", {}).get("CorsRules"):
        cors = [{("MaxAgeSeconds" if k == "MaxAge" else k): v for k, v in r.items()} for r in rules]
        s3.put_bucket_cors(Bucket=called, CORSConfiguration={"CORSRules": cors})
    if versions := props.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=called, VersioningConfiguration=versions)
    listed = props.get("NotificationConfiguration", {}).get("LambdaConfigurations", [])
    if listed:
        configuration = {"LambdaFunctionConfigurations": [_notification(one) for one in listed]}
        s3.put_bucket_notification_configuration(
            Bucket=called, NotificationConfiguration=configuration
        )
    return Made(called, {"Arn": f"arn:aws:s3:::{called}"})


def _notification(given: Props) -> Props:
    rules = given.get("Filter", {}).get("S3Key", {}).get("Rules", [])
    made = {"LambdaFunctionArn": given["Function"], "Events": [given["Event"]]}
    return made | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def table(stack: Stack, name: str, props: Props) -> Made:
    """Make a DynamoDB table."""
    dynamodb = stack.client("dynamodb")
    called = props.get("TableName") or f"{stack.name}-{name}"
    kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    dynamodb.create_table(TableName=called, **{k: props[k] for k in kept if k in props})
    if life := props.get("TimeToLiveSpecification"):
        dynamodb.update_time_to_live(TableName=called, TimeToLiveSpecification=life)
    return Made(called, {"Arn": arn("dynamodb", f"table/{called}")})


def queue(stack: Stack, name: str, props: Props) -> Made:
    """Make an SQS queue."""
    called = props.pop("QueueName", f"{stack.name}-{name}")
    attributes = {key: text(value) for key, value in props.items() if key != "Tags"}
    made = stack.client("sqs").create_queue(QueueName=called, Attributes=attributes)
    return Made(made["QueueUrl"], {"Arn": arn("sqs", called), "QueueName": called})


def topic(stack: Stack, name: str, props: Props) -> Made:
    """Make an SNS topic."""
    called = props.get("TopicName") or f"{stack.name}-{name}"
    made = stack.client("sns").create_topic(Name=called)["TopicArn"]
    return Made(made, {"TopicArn": made, "TopicName": called})


def subscription(stack: Stack, _name: str, props: Props) -> Made:
    """Subscribe to a topic."""
    made = stack.client("sns").subscribe(ReturnSubscriptionArn=True, **props)["SubscriptionArn"]
    return Made(made, {"Arn": made})


def role(stack: Stack, name: str, props: Props) -> Made:
    """Make a role; nobody is kept from anything by it here."""
    iam = stack.client("iam")
    called = f"{stack.name}-{name}"[:64]
    document = json.dumps(props["AssumeRolePolicyDocument"])
    made = iam.create_role(RoleName=called, AssumeRolePolicyDocument=document)["Role"]
    for policy in props.get("Policies", []):
        _role_policy(iam, called, policy)
    return Made(called, {"Arn": made["Arn"]})


def role_policy(stack: Stack, _name: str, props: Props) -> Made:
    """Add a policy to a role."""
    _role_policy(stack.client("iam"), props["RoleName"], props)
    return Made(props["PolicyName"], {})


def _role_policy(iam: Any, role_name: str, policy: Mapping[str, Any]) -> None:
    # IAM takes a policy without a version; the emulator does not.
    document = json.dumps({"Version": "2012-10-17", **policy["PolicyDocument"]})
    iam.put_role_policy(
        RoleName=role_name, PolicyName=policy["PolicyName"], PolicyDocument=document
    )


def function(stack: Stack, name: str, props: Props) -> Made:
    """Make a function of the folder that the template names, packed as it is."""
    code = props["Code"]
    if code.get("S3Bucket") != CODE_BUCKET:
        raise MarqueeError(f"{name}: its code is {code}; a folder beside the template is expected")
    variables = props.get("Environment", {}).get("Variables", {})
    kept = ("Handler", "Role", "Runtime", "Timeout", "MemorySize", "Architectures")
    made = stack.client("lambda").create_function(
        FunctionName=props.get("FunctionName") or f"{stack.name}-{name}"[:64],
        Code={"ZipFile": packed(stack.code / code["S3Key"])},
        Environment={"Variables": {key: text(value) for key, value in variables.items()}},
        **{key: props[key] for key in kept if key in props},
    )
    return Made(made["FunctionName"], {"Arn": made["FunctionArn"]})


def packed(folder: Path) -> bytes:
    """Return a folder of code as the zip file that Lambda takes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                # A fixed date: the same code is the same file, and is unpacked once.
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes())
    return out.getvalue()


def event_invoke_config(stack: Stack, name: str, props: Props) -> Made:
    """Say how often a function's events are tried again, and where they go then."""
    del props["Qualifier"]
    stack.client("lambda").put_function_event_invoke_config(**props)
    return Made(name, {})


def sagemaker(kind: str, create: str, key: str) -> Maker:
    """Return what makes one of SageMaker's parts of an endpoint."""

    def make(stack: Stack, name: str, props: Props) -> Made:
        called = props.setdefault(key, f"{stack.name}-{name}")
        getattr(stack.client("sagemaker"), create)(**props)
        return Made(arn("sagemaker", f"{kind}/{called}".lower()), {key: called})

    return make


def endpoint(stack: Stack, name: str, props: Props) -> Made:
    """Make an endpoint; how it is updated is for updates alone."""
    called = props.get("EndpointName") or f"{stack.name}-{name}"
    stack.client("sagemaker").create_endpoint(
        EndpointName=called, EndpointConfigName=props["EndpointConfigName"]
    )
    made = arn("sagemaker", f"endpoint/{called}".lower())
    return Made(made, {"EndpointName": called})


def alarm(stack: Stack, name: str, props: Props) -> Made:
    """Make an alarm; nothing feeds it here."""
    called = props.setdefault("AlarmName", f"{stack.name}-{name}")
    stack.client("cloudwatch").put_metric_alarm(**props)
    return Made(called, {"Arn": arn("cloudwatch", f"alarm:{called}")})


def scalable_target(stack: Stack, _name: str, props: Props) -> Made:
    """Say between how many instances an endpoint may grow; nothing grows here."""
    stack.client("application-autoscaling").register_scalable_target(**props)
    parts = (props["ResourceId"], props["ScalableDimension"], props["ServiceNamespace"])
    return Made("|".join(parts), {})


def scaling_policy(stack: Stack, _name: str, props: Props) -> Made:
    """Say when an endpoint should grow."""
    resource, dimension, service = props.pop("ScalingTargetId").split("|")
    made = stack.client("application-autoscaling").put_scaling_policy(
        ResourceId=resource, ScalableDimension=dimension, ServiceNamespace=service, **props
    )
    return Made(made["PolicyARN"], {"Arn": made["PolicyARN"]})


def log_group(stack: Stack, _name: str, props: Props) -> Made:
    """Make a log group; functions here write to files."""
    called = props["LogGroupName"]
    logs = stack.client("logs")
    logs.create_log_group(logGroupName=called)
    logs.put_retention_policy(logGroupName=called, retentionInDays=props["RetentionInDays"])
    return Made(called, {"Arn": arn("logs", f"log-group:{called}:*")})


def rest_api(stack: Stack, name: str, props: Props) -> Made:
    """Make the API's record; its routes are read by :func:`deploy.local.routes.deployed`."""
    called = props.get("Name") or f"{stack.name}-{name}"
    made = stack.client("apigateway").create_rest_api(name=called)
    return Made(made["id"], {"RootResourceId": made.get("rootResourceId", "")})


def api_key(stack: Stack, name: str, props: Props) -> Made:
    """Make a key; the emulator draws its value."""
    called = props.get("Name") or f"{stack.name}-{name}"
    made = stack.client("apigateway").create_api_key(name=called, enabled=props["Enabled"])
    return Made(made["id"], {"APIKeyId": made["id"]})


def usage_plan(stack: Stack, _name: str, props: Props) -> Made:
    """Make a usage plan."""
    throttle, quota = props.get("Throttle", {}), props.get("Quota", {})
    made = stack.client("apigateway").create_usage_plan(
        name=props["UsagePlanName"],
        throttle={_small(key): value for key, value in throttle.items()},
        quota={_small(key): value for key, value in quota.items()},
    )
    return Made(made["id"], {"Id": made["id"]})


def usage_plan_key(stack: Stack, name: str, props: Props) -> Made:
    """Put a key under a plan."""
    stack.client("apigateway").create_usage_plan_key(
        usagePlanId=props["UsagePlanId"], keyId=props["KeyId"], keyType=props["KeyType"]
    )
    return Made(name, {})


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


MAKERS: Mapping[str, Maker] = {
    "AWS::S3::Bucket": bucket,
    "AWS::DynamoDB::Table": table,
    "AWS::SQS::Queue": queue,
    "AWS::SNS::Topic": topic,
    "AWS::SNS::Subscription": subscription,
    "AWS::IAM::Role": role,
    "AWS::IAM::RolePolicy": role_policy,
    # The rights to a KMS key, by which nothing is encrypted here.
    "AWS::IAM::Policy": lambda _stack, name, _props: Made(name, {}),
    "AWS::Lambda::Function": function,
    "AWS::Lambda::EventInvokeConfig": event_invoke_config,
    "AWS::SageMaker::Model": sagemaker("model", "create_model", "ModelName"),
    "AWS::SageMaker::EndpointConfig": sagemaker(
        "endpoint-config", "create_endpoint_config", "EndpointConfigName"
    ),
    "AWS::SageMaker::Endpoint": endpoint,
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::ApplicationAutoScaling::ScalableTarget": scalable_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": scaling_policy,
    "AWS::Logs::LogGroup": log_group,
    "AWS::ApiGateway::RestApi": rest_api,
    # What these two say is read where the routes are.
    "AWS::ApiGateway::Deployment": lambda _stack, name, _props: Made(name, {}),
    "AWS::ApiGateway::Stage": lambda _stack, _name, props: Made(props["StageName"], {}),
    "AWS::ApiGateway::ApiKey": api_key,
    "AWS::ApiGateway::UsagePlan": usage_plan,
    "AWS::ApiGateway::UsagePlanKey": usage_plan_key,
}
# The bucket policies refuse plain HTTP, which is all there is on loopback; who may invoke a
# function is not checked here.
LEFT_OUT = frozenset({"AWS::S3::BucketPolicy", "AWS::Lambda::Permission"})
