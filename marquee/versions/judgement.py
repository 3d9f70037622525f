"""What a new version must stand, and whether it does under live traffic."""

from __future__ import annotations

from dataclasses import dataclass

from marquee.versions.traffic import Seen

# So few failures, and so few requests, tell nothing.
FAILURES = 3
TIMED_BEFORE, TIMED_AFTER = 20, 50
# A version that refuses this much more of all requests than the one before reads them otherwise.
REFUSED_MORE = 0.5


@dataclass(frozen=True)
class Options:
    """What a new version must stand.

    Attributes:
        watch_seconds: how long live traffic is watched before the old version may go.
        keep: whether the old version keeps its workers, for a rollback in no time.
        max_slowdown: how many times slower than the old version it may be.
        slowdown_floor_ms: what it may be slower in any case.
        max_errors: what share of requests may fail beyond the old version's share, 0 to 1.
        load_seconds: until its workers must have loaded.
        answer_seconds: until a golden request must have been answered.
    """

    watch_seconds: float = 30.0
    keep: bool = False
    max_slowdown: float = 3.0
    slowdown_floor_ms: float = 25.0
    max_errors: float = 0.01
    load_seconds: float = 180.0
    answer_seconds: float = 30.0


DEFAULT_OPTIONS = Options()


def worse(before: Seen, after: Seen, options: Options, *, proven: bool = True) -> str | None:
    """Return in what the requests after a switch fare worse than those before, or None.

    What a client sent wrongly (400 to 499) is no fault of the version. Only where nothing else
    tells that it reads requests as it should, a version that refuses most of them is suspected.

    Args:
        before, after: the requests.
        options: what is taken.
        proven: whether the version answers requests whose answer is known.
    """
    share = before.error_share + options.max_errors
    if after.failed >= FAILURES and after.error_share > share:
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
    return _slower(before, after, options)


def _slower(before: Seen, after: Seen, options: Options) -> str | None:
    limit = before.median_ms + options.slowdown_floor_ms
    if after.median_ms > max(limit, before.median_ms * options.max_slowdown):
        return (
            f"it is too slow: requests take {after.median_ms:.0f} ms (the median), before it were "
            f"{before.median_ms:.0f} ms"
        )
    return None
