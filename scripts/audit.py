"""Ask for known holes in what is locked: ``python -m scripts.audit``; exit code 1 where there are.

pip-audit asks the package index, so this needs a network. What was looked at and accepted stands in
.trivyignore.yaml, which the scan of the image reads as well: each with a reason and a last day.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
ACCEPTED = ROOT / ".trivyignore.yaml"
LOCKS = (ROOT / "requirements.lock", ROOT / "docker" / "requirements.lock")


def accepted(path: Path, today: date) -> Iterator[str]:
    """Yield the ids of the findings that are accepted on a day.

    Raises:
        ValueError: one lacks its reason or its last day.
    """
    for one in yaml.safe_load(path.read_text())["vulnerabilities"]:
        if not str(one.get("statement", "")).strip() or not isinstance(one.get("expired_at"), date):
            raise ValueError(
                f"{path.name}: {one.get('id')} lacks its statement (why) or its expired_at, a day "
                "such as 2027-01-31"
            )
        if one["expired_at"] > today:
            yield one["id"]


def command(lock: Path, ids: Iterator[str]) -> list[str]:
    """Return what asks about a lock; nothing is installed, nor resolved anew."""
    words = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--require-hashes",
        "-r",
        str(lock),
    ]
    return [*words, *(word for one in ids for word in ("--ignore-vuln", one))]


def main() -> int:
    """Ask about each lock."""
    today = date.today()
    codes = [
        subprocess.run(command(lock, accepted(ACCEPTED, today)), check=False).returncode
        for lock in LOCKS
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
