"""Variants of an endpoint in service get other parts of its requests."""

from __future__ import annotations

import boto3
import pytest

from marquee.errors import MarqueeError
from marquee.sagemaker.deploy import deploy
from marquee.sagemaker.traffic import dry_run, shift
from tests.marquee.sagemaker.support import REGION, RecordedAccount, hosting, operations, variant


@pytest.fixture
def endpoint(account: RecordedAccount) -> str:
    variants = (variant("old", weight=9), variant("new", weight=1), variant("rest", weight=0))
    deploy(account, hosting(variants=variants))
    account.operations.clear()
    return "painter"


def test_named_variants_get_other_weights(account: RecordedAccount, endpoint: str) -> None:
    assert shift(account, endpoint, {"old": 3, "new": 1}) == {"old": 0.75, "new": 0.25, "rest": 0}
    found = boto3.client("sagemaker", region_name=REGION).describe_endpoint(EndpointName=endpoint)
    weights = [one.get("CurrentWeight", 0) for one in found["ProductionVariants"]]
    assert weights == [3, 1, 0]
    assert account.operations == operations(dry_run(endpoint, {"old": 3}))


def test_traffic_that_cannot_be(account: RecordedAccount, endpoint: str) -> None:
    with pytest.raises(MarqueeError, match="has no variant green; it has old, new, rest"):
        shift(account, endpoint, {"green": 1})
    with pytest.raises(MarqueeError, match="no variant of painter would get requests"):
        shift(account, endpoint, {"old": 0, "new": 0})
    with pytest.raises(MarqueeError, match="there is no endpoint absent in this region"):
        shift(account, "absent", {"old": 1})
