"""Whether an archive is newer than the workers that serve it."""

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from marquee.archives.store import StoreRecord
from marquee.torchserve.management import Version
from marquee.torchserve.models import _state


def described(start: str) -> Version:
    found: dict[str, Any] = dict.fromkeys(
        ("minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout"), 1
    )
    worker = {"id": "9000", "startTime": start, "status": "READY", "pid": os.getpid()}
    worker |= {"memoryUsage": 7}
    found |= {"modelName": "cifar", "modelVersion": "2.0", "modelUrl": "a.mar", "workers": [worker]}
    return Version.of(found)


@pytest.mark.parametrize(
    ("written_ns", "start", "replaced"),
    [
        # A swap copies the file, and the workers start within the same second.
        (100_200_000_000, "1970-01-01T00:01:40.900Z", False),
        (100_900_700_000, "1970-01-01T00:01:40.900Z", False),
        (100_901_000_000, "1970-01-01T00:01:40.900Z", True),
        (100_000_000_000, "1970-01-01T00:01:40Z", False),
        (101_000_000_000, "1970-01-01T00:01:40Z", True),
    ],
)
def test_a_file_is_marked_only_when_it_was_written_after_the_start(
    tmp_path: Path, written_ns: int, start: str, replaced: bool
) -> None:
    archive = tmp_path / "a.mar"
    archive.write_bytes(b"x")
    os.utime(archive, ns=(written_ns, written_ns))
    found = _state(described(start), default=True, record=StoreRecord(tmp_path))
    assert found.replaced == replaced
    assert found.since is not None
    assert found.since.astimezone(timezone.utc) >= datetime(
        1970, 1, 1, 0, 1, 40, tzinfo=timezone.utc
    )


def test_nothing_is_known_of_the_files_of_another_machine() -> None:
    found = _state(described("1970-01-01T00:00:00Z"), default=True, record=None)
    assert (found.archive, found.sha256, found.weights) == ("a.mar", None, None)
    assert not found.replaced
    assert found.memory == 7
