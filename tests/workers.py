"""Which tests go together where several workers share them (`make test`), and which go first."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadScopeScheduling

# Fixtures with a server that many files share, and these files, by how their paths begin.
# The worker that has it runs all of them; any other file is a group of its own.
SHARED = {
    "cloud": ("tests/deploy/local/",),
    "door": ("tests/front/",),
    "cluster": ("tests/ray/",),
    "studio": ("tests/studio/",),
    "detectors": tuple(
        f"tests/server/test_{name}.py"
        for name in ("detectors_golden", "rotifer", "smoke", "timetravel")
    ),
    "server": (
        "tests/server/test_batches.py",
        "tests/server/test_configuration.py",
        "tests/server/test_content_types.py",
        "tests/server/test_errors.py",
        "tests/server/test_explanations.py",
        "tests/server/test_foreign.py",
        "tests/server/test_golden.py",
        "tests/server/test_inkwash.py",
        "tests/server/test_lifecycle.py",
        "tests/server/test_management.py",
        "tests/server/test_models.py",
        "tests/server/test_openapi.py",
        "tests/server/test_operating.py",
        "tests/server/test_predict.py",
        "tests/test_monitoring.py",
    ),
}
# These build archives, each its own, that later groups use: two that want the same would wait for
# it, and leave a core idle.
FIRST = ("server", "detectors")
# Files that ask for one, and are not listed: a test looks whether there are any.
UNLISTED: set[str] = set()
# Who asks for one of these has a server or a door, and is marked so.
STARTED = {*SHARED, "haproxy", "nodes"}
# These build archives, train, or write a gigabyte.
LONG = {"detectors_project", "face_checkpoint", "small_project", "trained"}


def group(nodeid: str) -> str:
    """Return what a test runs together with."""
    file = nodeid.partition("::")[0]
    return next((name for name, files in SHARED.items() if file.startswith(files)), file)


def mark(item: pytest.Item) -> None:
    """Mark a test by its fixtures: one that has a server, and one that takes long without."""
    own = vars(getattr(item, "module", item))  # a file's own fixture may have the same name
    fixtures = {name for name in getattr(item, "fixturenames", ()) if name not in own}
    if STARTED & fixtures:
        item.add_marker("server")
    if LONG & fixtures:
        item.add_marker("slow")
    if fixtures & {*SHARED} and group(item.nodeid) not in SHARED:
        UNLISTED.add(group(item.nodeid))


def sort(items: list[pytest.Item]) -> None:
    """Put what takes longest first, servers before all: the short groups fill what is left."""
    sizes = Counter(group(item.nodeid) for item in items)
    marked = {
        (name, group(item.nodeid))
        for item in items
        for name in ("server", "slow")
        if item.get_closest_marker(name)
    }

    def rank(item: pytest.Item) -> tuple[int, bool, bool, int, str]:
        own = group(item.nodeid)
        turn = FIRST.index(own) if own in FIRST else len(FIRST)
        return turn, ("server", own) not in marked, ("slow", own) not in marked, -sizes[own], own

    items.sort(key=rank)


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Gives whole groups to workers, in the order in which they come."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
