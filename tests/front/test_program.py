"""Where HAProxy is missing or of no use, how to get one is told."""

import shutil
from pathlib import Path

import pytest

from marquee.errors import MarqueeError
from marquee.front import program

GOOD = """HAProxy version 2.8.1 2023/07/03 - https://haproxy.org/
Built with OpenSSL version : OpenSSL 3.0
Built with Lua version : Lua 5.3.6"""


def fake(folder: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = folder / "haproxy"
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{said}\nEOF\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return path


def test_a_good_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = fake(tmp_path, GOOD, monkeypatch)
    assert program.find() == good


def test_none_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(MarqueeError, match="there is none here") as told:
        program.find()
    for words in ("apt-get install haproxy", "dnf install haproxy", "brew install haproxy"):
        assert words in str(told.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (GOOD.replace("2.8.1", "2.4.24"), "too old"),
        ("Segmentation fault", "too old"),
        (GOOD.replace("Built with Lua", "Built without Lua"), "built without Lua"),
        (GOOD.replace("Built with OpenSSL", "Built without OpenSSL"), "built without OpenSSL"),
    ],
)
def test_one_of_no_use_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, reason: str
) -> None:
    fake(tmp_path, said, monkeypatch)
    with pytest.raises(MarqueeError, match=reason) as told:
        program.find()
    assert "apt-get install haproxy" in str(told.value)
