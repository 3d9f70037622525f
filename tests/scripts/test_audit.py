"""Accepted findings have a reason and a day, and end on it."""

from datetime import date
from pathlib import Path

import pytest

from scripts import audit

DAY = date(2026, 11, 29)


def listed(path: Path, *entries: str) -> Path:
    path.write_text("vulnerabilities:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return path


def test_what_is_accepted_in_this_repository_says_why_and_until_when() -> None:
    assert isinstance([*audit.accepted(audit.ACCEPTED, DAY)], list)


def test_an_accepted_finding_ends_on_its_day(tmp_path: Path) -> None:
    path = listed(
        tmp_path / "list.yaml",
        "{id: CVE-1, statement: not used here, expired_at: 2026-11-29}",
        "{id: CVE-2, statement: not used here, expired_at: 2026-11-30}",
    )
    assert [*audit.accepted(path, DAY)] == ["CVE-2"]
    words = audit.command(audit.LOCKS[0], audit.accepted(path, DAY))
    assert words[-2:] == ["--ignore-vuln", "CVE-2"]


@pytest.mark.parametrize(
    "entry",
    [
        "{id: CVE-1, expired_at: 2027-01-01}",
        "{id: CVE-1, statement: ' ', expired_at: 2027-01-01}",
        "{id: CVE-1, statement: why}",
        "{id: CVE-1, statement: why, expired_at: soon}",
    ],
)
def test_one_without_a_reason_or_a_day_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ValueError, match="CVE-1 lacks its statement"):
        [*audit.accepted(listed(tmp_path / "list.yaml", entry), DAY)]
