"""The account that everything here belongs to, and how programs are pointed at it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from marquee.errors import MarqueeError

ACCOUNT = "123456789012"
REGION = "us-east-1"
# Any credentials are taken; these stand in where a program has none.
KEY_ID = "test"
SECRET = "test"  # noqa: S105 - the emulator checks no signature


def variables(address: str) -> dict[str, str]:
    """Return the environment in which the SDK and the AWS CLI work against ``address`` alone."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # A developer's profile could name another address, or a real account.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(service: str, address: str, **config: Any) -> Any:
    """Return the SDK's client of a service at ``address``, whatever the environment says."""
    import boto3  # noqa: PLC0415 - it takes a second to import
    from botocore.config import Config  # noqa: PLC0415

    session = boto3.Session(
        aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET, region_name=REGION
    )
    settings: Mapping[str, Any] = {"retries": {"total_max_attempts": 1}, "proxies": {}} | config
    return session.client(service, endpoint_url=address, config=Config(**settings))


def needed() -> None:
    """Raise MarqueeError unless all that the cloud needs is installed."""
    try:
        for name in ("boto3", "moto.server", "samtranslator"):
            importlib.import_module(name)
    except ImportError as error:
        raise MarqueeError(
            f"the cloud needs the package {error.name}, which is not installed; run make env "
            "in the clone"
        ) from error
