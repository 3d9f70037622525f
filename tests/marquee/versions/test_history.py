"""The history, the chosen defaults, and the plan of a swap, in `.marquee/`."""

import json
from pathlib import Path

import pytest

from marquee import state
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve import loaded
from marquee.versions import history, journal
from marquee.versions.history import Record
from marquee.versions.journal import Plan
from tests.support import make_project, marquee


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", "cifar")


def swap_record(old: str, new: str, outcome: str = "done", action: str = "swap") -> Record:
    return {"model": "cifar", "action": action, "from": old, "to": new, "outcome": outcome}


def test_a_record_says_who_and_when_and_is_private(empty: Project) -> None:
    record = history.append(empty, swap_record("1.0", "2.0"))
    assert "@" in record["who"]
    assert record["when"].endswith("+00:00")
    assert (empty.state / "history.jsonl").stat().st_mode & 0o777 == 0o600
    assert empty.state.stat().st_mode & 0o777 == 0o700
    assert history.read(empty, "cifar") == [record]
    assert history.read(empty, "inkwash") == []


def test_a_line_that_was_cut_short_is_left_out(empty: Project) -> None:
    record = history.append(empty, swap_record("1.0", "2.0"))
    with (empty.state / "history.jsonl").open("a") as file:
        file.write('{"model": "cif')
    assert history.read(empty) == [record]


def test_the_version_before_is_that_of_the_last_swap_that_was_done(empty: Project) -> None:
    history.append(empty, swap_record("1.0", "2.0"))
    history.append(empty, swap_record("3.0", "2.0", outcome="refused"))
    history.append(empty, swap_record("4.0", "2.0", action="rollback"))
    assert history.version_before(empty, "cifar", "2.0") == "1.0"
    assert history.version_before(empty, "cifar", "1.0") is None


def test_the_history_is_shown(empty: Project) -> None:
    assert marquee(empty, "history", "cifar").stdout == "nothing has been changed of cifar yet\n"
    history.append(empty, {**swap_record("1.0", "2.0"), "digest": "abcdef0123456789"})
    shown = marquee(empty, "history").stdout
    assert "cifar  swap  1.0 -> 2.0  abcdef012345" in shown
    assert json.loads(marquee(empty, "history", "--json").stdout) == history.read(empty)


def test_the_operators_choice_of_default_outlives_a_restart(
    empty: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded, "models", lambda _: [("cifar", "1.0"), ("cifar", "2.0")])
    assert loaded.defaults(empty) == {"cifar": "2.0"}
    state.choose_default(empty, "cifar", "1.0")
    assert loaded.defaults(empty) == {"cifar": "1.0"}
    state.choose_default(empty, "cifar", "9.0")  # not in the store any more
    assert loaded.defaults(empty) == {"cifar": "2.0"}


def test_a_damaged_state_file_is_named(empty: Project) -> None:
    (state.folder(empty) / "defaults.json").write_text("{")
    with pytest.raises(MarqueeError, match=r"defaults.json is damaged"):
        state.chosen_defaults(empty)


def test_a_plan_from_before_canaries_had_one_is_read(empty: Project) -> None:
    kept = {"model": "cifar", "old": "1.0", "new": "2.0", "old_workers": 2, "moved": True}
    state.write(state.folder(empty) / "swap-cifar.json", kept)
    assert journal.unfinished(empty, "cifar") == Plan("cifar", "1.0", "2.0", 2, moved=True)


def test_a_plan_is_found_again_and_forgotten(empty: Project) -> None:
    plan = Plan("cifar", "1.0", "2.0", old_workers=2, moved=True)
    journal.save(empty, plan)
    assert journal.unfinished(empty, "cifar") == plan
    journal.forget(empty, "cifar")
    assert journal.unfinished(empty, "cifar") is None


def test_a_model_is_held_by_one_command_at_a_time(empty: Project) -> None:
    with (
        journal.locked(empty, "cifar"),
        journal.locked(empty, "inkwash"),
        pytest.raises(MarqueeError, match="another command changes cifar now"),
        journal.locked(empty, "cifar"),
    ):
        pass
    with journal.locked(empty, "cifar"):
        pass


@pytest.mark.parametrize("words", [("swap", "../x", "1.0"), ("scale", "a/b", "--workers", "2")])
def test_a_name_that_no_model_can_have_is_told(empty: Project, words: tuple[str, ...]) -> None:
    said = marquee(empty, *words)
    assert said.returncode == 1
    assert f"no model can be called so: the name is '{words[1]}'" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "a b", "\0", "a" * 161])
def test_no_name_leads_out_of_the_state(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path / "project")
    with pytest.raises(MarqueeError, match="the name is"), journal.locked(project, name):
        pass
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_models_own_name_does(tmp_path: Path) -> None:
    with journal.locked(Project(tmp_path), "my-net_2.0"):
        assert journal.unfinished(Project(tmp_path), "my-net_2.0") is None
