"""Files in S3 by their ``s3://`` addresses."""

from __future__ import annotations

from pathlib import Path

from marquee.sagemaker.account import Account, Call
from marquee.sagemaker.values import split_s3

S3 = "s3"


def listed(address: str) -> Call:
    """Return the call that tells whether there is an object.

    Not HeadObject: where listing is not allowed it says "forbidden" for what is not there.
    """
    bucket, key = split_s3(address, "the address")
    return Call(S3, "ListObjectsV2", {"Bucket": bucket, "Prefix": key})


def size(account: Account, address: str) -> int | None:
    """Return the bytes of an object, or None if it is not there."""
    call = listed(address)
    stored = account.make(call).get("Contents", [])
    return next((one["Size"] for one in stored if one["Key"] == call.parameters["Prefix"]), None)


def fetched(address: str) -> Call:
    """Return the call that gets an object."""
    bucket, key = split_s3(address, "the address")
    return Call(S3, "GetObject", {"Bucket": bucket, "Key": key})


def upload(path: Path, address: str, content_type: str, step: str = "") -> Call:
    """Return the call that stores a file; a large one goes in parts."""
    bucket, key = split_s3(address, "the address")
    place = {"Bucket": bucket, "Key": key, "ContentType": content_type}
    return Call(S3, "PutObject", place | {"Body": path}, step)


def deletion(address: str) -> Call:
    """Return the call that deletes an object."""
    bucket, key = split_s3(address, "the address")
    return Call(S3, "DeleteObject", {"Bucket": bucket, "Key": key}, f"Deleting {address}")
