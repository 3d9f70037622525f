"""An AWS account that is an emulator's, and stand-ins for what the emulator lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from marquee.sagemaker import account as accounts
from marquee.sagemaker import invoke
from marquee.sagemaker.account import RUNTIME, Account
from tests.marquee.sagemaker.support import BUCKET, REGION, RecordedAccount


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (accounts, invoke):
        monkeypatch.setattr(module, "POLL_SECONDS", 0)


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own AWS account out of the tests."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)


@pytest.fixture
def account(_no_configuration: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedAccount]:
    """An emulated account with a bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        where = {"LocationConstraint": REGION}
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield RecordedAccount(REGION)


def _stubbed(account: Account, service: str) -> Iterator[Stubber]:
    with Stubber(account._client(service)) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def runtime(account: Account) -> Iterator[Stubber]:
    """What the runtime answers, call by call; the emulator knows canned text only."""
    yield from _stubbed(account, RUNTIME)


@pytest.fixture
def control(account: Account) -> Iterator[Stubber]:
    """What SageMaker answers, call by call: the emulator updates at once, if at all."""
    yield from _stubbed(account, "sagemaker")
