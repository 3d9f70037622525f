"""The one address of all services, in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deploy.local import account
from deploy.local.clock import Clock
from deploy.local.emulator import application, reset
from deploy.local.lambdas import Lambdas
from deploy.local.services import Listener, Services
from marquee.errors import MarqueeError


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """The services, without a stack."""
    lambdas = Lambdas(tmp_path, tmp_path, Clock())
    made = Listener(0, Services(application(lambdas), Clock()), "--port")
    lambdas.address = made.address
    yield made
    lambdas.close()
    made.close()
    reset()


@pytest.fixture
def hasty() -> Iterator[None]:
    """Have threads take turns so often that what is not atomic shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_of_many_conditional_writes_at_once_one_wins(listener: Listener, hasty: None) -> None:
    dynamodb = account.client("dynamodb", listener.address, max_pool_connections=20)
    dynamodb.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )

    def claim(item: int) -> bool:
        try:
            dynamodb.update_item(
                TableName="t",
                Key={"id": {"S": str(item)}},
                UpdateExpression="SET Taken = :yes",
                ConditionExpression="attribute_not_exists(Taken)",
                ExpressionAttributeValues={":yes": {"BOOL": True}},
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        # Ten items, each claimed by twenty at once.
        assert sum(threads.map(claim, [n // 20 for n in range(200)])) == 10


def test_of_many_uploads_of_one_name_each_is_taken(listener: Listener, hasty: None) -> None:
    s3 = account.client("s3", listener.address, max_pool_connections=4)
    s3.create_bucket(Bucket="bucket")

    def put(number: int) -> None:
        s3.put_object(Bucket="bucket", Key="twin", Body=b"%d" % number * 100_000)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(put, range(100)))  # or the error of the first that was not


def test_a_bucket_called_endpoints_is_a_bucket(listener: Listener) -> None:
    s3 = account.client("s3", listener.address)
    s3.create_bucket(Bucket="endpoints")
    begun = s3.create_multipart_upload(Bucket="endpoints", Key="a/invocations")
    assert begun["Key"] == "a/invocations"


def test_a_port_that_is_taken_is_told(listener: Listener) -> None:
    port = int(listener.address.rpartition(":")[2])

    def application(*_: Any) -> list[bytes]:
        return []

    with pytest.raises(MarqueeError, match=f"port {port} cannot be used.*--port"):
        Listener(port, application, "--port")
