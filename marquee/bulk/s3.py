"""Objects in S3 as inputs: listed a page at a time, read several at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from marquee.errors import MarqueeError

SCHEME = "s3://"
# Reads that a worker has under way at once: each waits for the network most of its time.
AT_ONCE = 16
CREDENTIALS = (
    "configure credentials first (aws configure, aws sso login, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY)"
)
ADVICE = {
    "AccessDenied": "allow s3:ListBucket and s3:GetObject in your IAM policy",
    "NoSuchBucket": "name another bucket",
    "NoSuchKey": "it may have been deleted since it was listed",
    "ExpiredToken": "log in again: your temporary credentials are over",
    "InvalidAccessKeyId": "AWS does not know the credentials: check the profile and the account",
    "SignatureDoesNotMatch": "the secret key does not fit the key id: log in again",
}
NETWORK = "check the network, AWS_REGION and any AWS_ENDPOINT_URL"


def is_address(path: str) -> bool:
    """Tell an ``s3://`` address from a path."""
    return path.startswith(SCHEME)


def split(address: str) -> tuple[str, str]:
    """Return bucket and key of an address."""
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    return bucket, key


def keys(bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys below a prefix, in their order; those that stand for folders are left out.

    Raises:
        MarqueeError: the bucket cannot be listed.
    """
    with _explained(f"listing {SCHEME}{bucket}/{prefix}"):
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                if not found["Key"].endswith("/"):
                    yield found["Key"]


def read(address: str, limit: int) -> tuple[int, bytes]:
    """Return the size of an object, and its bytes where they are no more than ``limit``.

    Raises:
        MarqueeError: it cannot be had.
    """
    bucket, key = split(address)
    with _explained(f"reading {address}"):
        answer = _client().get_object(Bucket=bucket, Key=key)
        size: int = answer["ContentLength"]
        return size, b"" if size > limit else answer["Body"].read()


@lru_cache(maxsize=1)
def _client() -> Any:
    try:
        boto3 = importlib.import_module("boto3")
        config = importlib.import_module("botocore.config").Config
    except ImportError as error:
        raise MarqueeError(
            f"{SCHEME} needs boto3, which is not installed here; run: "
            ".venv/bin/pip install -e '.[aws]'"
        ) from error
    own = config(retries={"mode": "standard"}, max_pool_connections=2 * AT_ONCE)
    return boto3.client("s3", config=own)


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn what botocore raises inside into a MarqueeError that names ``doing``."""
    _client()  # says what is missing
    exceptions = importlib.import_module("botocore.exceptions")
    try:
        yield
    except exceptions.ClientError as error:
        found = error.response.get("Error", {})
        code, said = str(found.get("Code")), str(found.get("Message")).rstrip(".")
        advice = ADVICE.get(code, "S3's list of error codes says more")
        raise MarqueeError(f"{doing} was refused ({code}: {said}); {advice}") from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise MarqueeError(f"{doing} failed: {error}; {CREDENTIALS}") from error
    except exceptions.BotoCoreError as error:
        raise MarqueeError(f"{doing} failed: {error}; {NETWORK}") from error
