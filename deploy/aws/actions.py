"""What AWS's list of actions says of a policy: policy-sentry has it as of its release."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from policy_sentry.querying.actions import get_action_data

# Keys of every request, in no action's own list.
GLOBAL_KEYS = {"aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn"}


@functools.cache
def _rows(action: str) -> tuple[dict[str, Any], ...]:
    service, _, name = action.partition(":")
    found = get_action_data(service, name)
    return tuple(found[service]) if found else ()


def unknown_rights(name: str, statement: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each action, resource and condition that AWS would never match."""
    for action in as_list(statement["Action"]):
        if "*" in action or action.startswith("sts:"):
            continue
        rows = _rows(action)
        if not rows:
            yield f"{name} allows {action}, which AWS does not know"
            continue
        for resource in as_list(statement.get("Resource", [])):
            if resource != "*" and not any(_fits(row, resource) for row in rows):
                yield f"{name} allows {action} on {resource}, which is no resource of it"
        known = {key for row in rows for key in row["condition_keys"]} | GLOBAL_KEYS
        for test in statement.get("Condition", {}).values():
            for key in sorted(set(test) - known):
                yield f"{name} asks {action} for {key}, which it does not have"


def _fits(row: dict[str, Any], resource: str) -> bool:
    """Whether an ARN, stars and all, may be one of the action's."""
    form = row["resource_arn_format"].replace("${Partition}", "aws")
    texts, names = form.split("${"), re.findall(r"\$\{(\w+)\}", form)
    pattern, whole = re.escape(texts[0]), len(names)
    for number, name in enumerate(names, 1):
        # A bucket's name ends before a slash: an object's ARN is not a bucket's.
        pattern += r"[^/]+" if name == "BucketName" else ".+"
        # What ends in a star may stand for all that the form has behind it.
        begun = number < whole and resource.endswith("*") and name not in ("Region", "Account")
        if begun and re.fullmatch(pattern, resource):
            return True
        pattern += re.escape(texts[number].partition("}")[2])
    return bool(re.fullmatch(pattern, resource))


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and anything else in one."""
    return value if isinstance(value, list) else [value]
