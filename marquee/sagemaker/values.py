"""The forms of what SageMaker takes: names, ARNs, keys, ``s3://`` addresses."""

from __future__ import annotations

import re
from typing import Any

from marquee.errors import MarqueeError

# SageMaker's names have 63 characters; ours add a dash and a digest to the endpoint's.
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,49}")
VARIANT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]+")
KEY = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/-]+|alias/[\w/-]+|"
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}"
)
S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def check(what: str, value: str | None, form: re.Pattern[str], expected: str) -> None:
    """Refuse a value of another form as ``what``; None passes."""
    if value is not None and not form.fullmatch(value):
        raise MarqueeError(f"{what} is {value!r}; expected {expected}")


def check_key(what: str, key: str | None) -> None:
    """Refuse what names no KMS key."""
    check(what, key, KEY, "the ARN, id or alias/NAME of a KMS key")


def check_endpoint_name(name: str) -> None:
    """Refuse a name that SageMaker does not take."""
    expected = "up to 50 letters, digits and single dashes inside (name it with --endpoint)"
    check("the endpoint's name", name, NAME, expected)


def split_s3(url: str, what: str) -> tuple[str, str]:
    """Return bucket and key of an ``s3://`` address, or refuse one that is none as ``what``."""
    found = S3.fullmatch(url)
    if found is None:
        raise MarqueeError(
            f"{what} is {url!r}; expected s3://BUCKET/PATH (a bucket's name has 3 to 63 small "
            "letters, digits, dots and dashes)"
        )
    return found[1], found[2] or ""
