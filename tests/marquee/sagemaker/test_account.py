"""What is told when AWS says no, and what a dry run and a list are."""

from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from marquee.errors import MarqueeError
from marquee.sagemaker import endpoints, errors, objects
from marquee.sagemaker.account import Account, Call, as_json
from tests.marquee.sagemaker.support import REGION

LISTED = Call("sagemaker", "ListModels", {})


def refusal(code: str, message: str = "It said no.", doing: str = "CreateEndpoint") -> str:
    with pytest.raises(MarqueeError) as told, errors.explained(doing):
        raise ClientError({"Error": {"Code": code, "Message": message}}, doing)
    return str(told.value)


def test_an_endpoint_that_cannot_be_invoked_is_looked_at() -> None:
    told = refusal("ValidationError", doing="InvokeEndpoint")
    assert "check the endpoint's name and --region" in told
    assert "--role" not in told


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDeniedException", "allow the action it names"),
        ("AccessDenied", "allow the action it names"),
        ("ResourceLimitExceeded", "Service Quotas"),
        ("ExpiredTokenException", "log in again"),
        ("UnrecognizedClientException", "AWS does not know the credentials"),
        ("ThrottlingException", "try again in a minute"),
        ("ValidationException", "--role must be a role that SageMaker may assume"),
        ("NoSuchBucket", "create the bucket"),
        ("Odd", "API reference"),
    ],
)
def test_a_refusal_says_what_to_do(code: str, words: str) -> None:
    told = refusal(code)
    assert told.startswith(f"CreateEndpoint was refused ({code}): It said no; ")
    assert words in told


def test_no_credentials_and_no_region() -> None:
    with pytest.raises(MarqueeError, match="Unable to locate credentials; configure .*--dry-run"):
        Account(REGION).make(LISTED)
    with pytest.raises(MarqueeError, match="say --region, or set AWS_REGION"):
        Account().make(LISTED)
    with pytest.raises(MarqueeError, match="name one of ~/.aws/config with --profile"):
        Account(REGION, "absent")


def test_no_network() -> None:
    error = exceptions.EndpointConnectionError(endpoint_url="https://runtime.example")
    with pytest.raises(MarqueeError, match="check the network, --region"), errors.explained("X"):
        raise error


def test_an_upload_to_no_bucket(account: Account, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(MarqueeError, match=r"uploading x to s3://absent/k failed: .*NoSuchBucket"):
        account.make(objects.upload(tmp_path / "x", "s3://absent/k", "text/plain"))


def test_without_boto3_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MarqueeError, match=r"need boto3, .*pip install -e '\.\[aws\]'"):
        Account(REGION)


def test_a_dry_run_knows_what_aws_takes() -> None:
    wrong = Call("sagemaker", "CreateEndpoint", {"Endpoint": "x"})
    with pytest.raises(MarqueeError, match='CreateEndpoint cannot be called so: .*"Endpoint"'):
        as_json([LISTED, wrong])


def test_lists_are_read_to_the_end(account: Account, control: Stubber) -> None:
    def page(name: str) -> dict[str, Any]:
        arn = "arn:aws:sagemaker:eu-west-1:123456789012:model/x"
        return {"Models": [{"ModelName": name, "ModelArn": arn, "CreationTime": 0}]}

    asked = {"NameContains": "x"}
    control.add_response("list_models", page("xa") | {"NextToken": "2"}, asked)
    control.add_response("list_models", page("xb"), asked | {"NextToken": "2"})
    assert endpoints.names(account, endpoints.MODEL, "x") == ["xa", "xb"]
