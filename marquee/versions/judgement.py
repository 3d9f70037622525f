"""The one judge: what a version must stand beside another, and whether it does worse."""

from __future__ import annotations

from dataclasses import dataclass

from marquee.front.traffic import Summary
from marquee.versions.traffic import RequestStats

# So few failures tell nothing, and so small a difference in time is noise.
FAILURES = 3
NOISE_MS = 25.0
# Before a swap and after it, so few requests tell nothing of how long they take.
TIMED_BEFORE, TIMED_AFTER = 20, 50
# A p95 wants more requests than an error rate.
LATENCY_REQUESTS = 5
# A version that refuses this much more of all requests than the one before reads them otherwise.
REFUSED_MORE = 0.5


@dataclass(frozen=True)
class SwapPolicy:
    """How a version is put into service, and what it must stand.

    Attributes:
        watch_seconds: how long live traffic is watched before the old version may go.
        keep: whether the old version keeps its workers, for a rollback in no time.
        max_slowdown: how many times slower than the old version it may be.
        max_errors: what share of requests may fail beyond the old version's share, 0 to 1.
        load_seconds: until its workers must have loaded.
        answer_seconds: until a golden request must have been answered.
    """

    watch_seconds: float = 30.0
    keep: bool = False
    max_slowdown: float = 3.0
    max_errors: float = 0.01
    load_seconds: float = 180.0
    answer_seconds: float = 30.0


DEFAULT_POLICY = SwapPolicy()


@dataclass(frozen=True)
class CanaryLimits:
    """What makes a canary be withdrawn by itself.

    Attributes:
        max_errors: how much higher its error rate may be than the default's, 0 to 1.
        max_slower: how much longer its p95 may be than the default's, as a share of that.
        min_requests: how many requests it must have had for its error rate to count; for its
            p95, five times as many (and as many of the default's).
    """

    max_errors: float = 0.05
    max_slower: float = 0.5
    min_requests: int = 20


def fails_more(failed: int, requests: int, other_share: float, max_errors: float) -> bool:
    """Whether more requests failed than may, beyond the share that fails with the other version."""
    return failed >= FAILURES and failed / requests > other_share + max_errors


def is_slower(milliseconds: float, other: float, times: float) -> bool:
    """Whether requests take more than so many times what they take with the other version."""
    return milliseconds > max(other * times, other + NOISE_MS)


def worse_than_before(
    before: RequestStats, after: RequestStats, policy: SwapPolicy, *, proven: bool = True
) -> str | None:
    """Return in what the requests after a switch fare worse than those before, or None.

    What a client sent wrongly (400 to 499) is no fault of the version. Only where nothing else
    tells that it reads requests as it should, a version that refuses most of them is suspected.

    Args:
        proven: whether the version answers requests whose answer is known.
    """
    if fails_more(after.failed, after.requests, before.error_share, policy.max_errors):
        return (
            f"{after.failed} of {after.requests} requests failed ({after.error_share:.1%}), "
            f"before it were {before.error_share:.1%}"
        )
    if before.requests < TIMED_BEFORE or after.requests < TIMED_AFTER:
        return None
    if not proven and after.refused_share > before.refused_share + REFUSED_MORE:
        return (
            f"it refused {after.refused} of {after.requests} requests "
            f"({after.refused_share:.1%}), before it were {before.refused_share:.1%}"
        )
    if is_slower(after.median_ms, before.median_ms, policy.max_slowdown):
        return (
            f"it is too slow: requests take {after.median_ms:.0f} ms (the median), before it were "
            f"{before.median_ms:.0f} ms"
        )
    return None


def worse_than_default(
    canary: Summary, default: Summary, limits: CanaryLimits, *, proven: bool = True
) -> str | None:
    """Return in what a canary does worse than the default version beside it, or None.

    What it refuses is judged as after a switch; see :func:`worse_than_before`.
    """
    if canary.recent < limits.min_requests:
        return None
    failed = round(canary.error_rate * canary.recent)
    if fails_more(failed, canary.recent, default.error_rate, limits.max_errors):
        return (
            f"its error rate is {canary.error_rate:.1%} of {canary.recent} requests, the default "
            f"version's {default.error_rate:.1%}"
        )
    more = canary.refused_rate > default.refused_rate + REFUSED_MORE
    if not proven and more and default.recent >= limits.min_requests:
        return (
            f"it refused {canary.refused_rate:.1%} of {canary.recent} requests, the default "
            f"version {default.refused_rate:.1%}"
        )
    enough = LATENCY_REQUESTS * limits.min_requests
    if canary.p95 is None or default.p95 is None or min(canary.recent, default.recent) < enough:
        return None
    if is_slower(canary.p95, default.p95, 1 + limits.max_slower):
        return f"its p95 is {canary.p95:.0f} ms, the default version's {default.p95:.0f} ms"
    return None
