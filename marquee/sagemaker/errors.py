"""What AWS says when something is wrong, in a sentence with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from marquee.errors import MarqueeError

# By AWS's error codes, without "Exception" at their ends.
ADVICE = {
    "AccessDenied": "allow the action it names in your IAM policy (docs/sagemaker.md lists all)",
    "ExpiredToken": "log in again: your temporary credentials are over",
    "InvalidClientTokenId": "AWS does not know the credentials: check the profile and the account",
    "UnrecognizedClient": "AWS does not know the credentials: check the profile and the account",
    "SignatureDoesNotMatch": "the secret key does not fit the key id: log in again",
    "ResourceLimitExceeded": (
        "ask for a higher limit under Service Quotas (it names the quota), or take another "
        "--instance-type or a smaller --count"
    ),
    "ResourceInUse": "something else is working on it: wait until that has ended, and try again",
    "NoSuchBucket": "create the bucket in the endpoint's region, or name another",
    "Throttling": "AWS asks for fewer calls: try again in a minute",
    "ServiceUnavailable": "try again in a minute",
    "InternalFailure": "the fault is AWS's: try again in a minute",
    "InternalDependency": "the fault is AWS's: try again in a minute",
    "ModelNotReady": "the model is still loading: try again in a minute",
}
CREDENTIALS = (
    "configure credentials first (aws configure, aws sso login, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY), or look without any: --dry-run"
)
NETWORK = (
    "check the network, --region and any AWS_ENDPOINT_URL; what took longer than a minute is for "
    "an asynchronous endpoint"
)
# By botocore's own classes, or those that they are made from.
LOCAL_ADVICE = {
    "NoCredentialsError": CREDENTIALS,
    "PartialCredentialsError": CREDENTIALS,
    "NoRegionError": "say --region, or set AWS_REGION",
    "ProfileNotFound": "name one of ~/.aws/config with --profile",
    "ParamValidationError": "mend that option",
    "HTTPClientError": NETWORK,
    "ConnectionError": NETWORK,
}
VALIDATION = (
    "check the value it names: --role must be a role that SageMaker may assume and that may read "
    "the image and the model data, both in the endpoint's region"
)
INVOCATION = (
    "check the endpoint's name and --region, and that it is in service: "
    "aws sagemaker describe-endpoint --endpoint-name NAME"
)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what botocore raises inside into a MarqueeError that names ``doing``."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise _refused(doing, error.response) from error
    except (BotoCoreError, Boto3Error) as error:
        message = _line(error).rstrip(".")
        raise MarqueeError(f"{doing} failed: {message}; {_local_advice(error)}") from error


def _refused(doing: str, response: dict[str, Any]) -> MarqueeError:
    error = response.get("Error", {})
    code, message = str(error.get("Code", "unknown")), _line(error.get("Message")).rstrip(".")
    if code == "ModelError":
        return _model_error(response)
    return MarqueeError(f"{doing} was refused ({code}): {message}; {_advice(doing, code)}")


def _advice(doing: str, code: str) -> str:
    kind = code.removesuffix("Exception")  # AWS has both AccessDenied and AccessDeniedException
    if kind in ADVICE:
        return ADVICE[kind]
    if code.startswith("Validation"):
        return INVOCATION if doing.startswith("Invoke") else VALIDATION
    return "see the service's API reference for this code"


def _model_error(response: dict[str, Any]) -> MarqueeError:
    """The container answered, and not with a 200: what it said is what counts."""
    status = response.get("OriginalStatusCode", "an error")
    message = _line(response.get("OriginalMessage", "no message"))
    _, _, group = str(response.get("LogStreamArn", "")).partition("log-group:")
    more = f" (its log: {group})" if group else ""
    return MarqueeError(f"the model answered {status}: {message[:2000]}{more}")


def _line(message: object) -> str:
    return " ".join(str(message).split())


def _local_advice(error: Exception) -> str:
    found = (LOCAL_ADVICE.get(kind.__name__) for kind in type(error).__mro__)
    return next(filter(None, found), "see the message above; nothing more is known")
