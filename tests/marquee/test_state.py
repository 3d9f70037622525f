"""The state folder's files are changed by many at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from marquee import state
from marquee.errors import MarqueeError
from marquee.project import Project


def test_defaults_of_models_that_change_at_once_are_all_kept(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            pool.submit(state.choose_default, project, f"model{number}", "2.0")
    assert state.chosen_defaults(project) == {f"model{number}": "2.0" for number in range(40)}


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    state.write(path, {"a": 1})
    with pytest.raises(RuntimeError), state.changed(path) as value:
        value["a"] = 2
        raise RuntimeError
    assert state.read(path) == {"a": 1}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text("[")
    with pytest.raises(MarqueeError, match="is damaged"), state.changed(tmp_path / "some.json"):
        raise AssertionError("not lent")
