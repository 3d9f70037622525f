"""The pytest plugin, on a handler with planted faults."""

from pathlib import Path

import pytest

from marquee.project import Project
from tests.support import make_project, marquee

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

# cifar's handler, kept as base.py, behind one that does everything wrong that it can.
BAD = """
from handlers.cifar.base import CifarHandler as Base

KEPT = []


class Bad(Base):
    def handle(self, rows, context):
        KEPT.append(bytearray(b"x" * 1_000_000))  # leaks
        if rows[0].get("body") == b"hello":
            raise ValueError("told to")  # escapes
        if rows[0].get("body") == b"7":
            print("[METRICS]")
            context.set_response_status(code=400, idx=0)
            return ["Traceback (most recent call last)"]  # tells the client
        if context.get_all_request_header(0).get("X-Marquee-No-Such"):
            rows = [{"body": (self.weights.parent / "example.png").read_bytes()}]
            context.get_all_request_header(0).clear()  # ignores what it does not know
        return super().handle(rows[:1], context) * len(rows)  # answers the first only
"""


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("bad") / "project", "cifar")
    room = project.handlers / "cifar"
    config = room / "model-config.yaml"
    text = config.read_text()
    config.write_text(text.replace('    "1.0":\n      weights: [lenet.pth]\n', ""))
    (room / "base.py").write_text((room / "handler.py").read_text())
    (room / "handler.py").write_text(BAD)
    built = marquee(project, "archive")
    assert built.returncode == 0, built.stderr
    return project


FAULTS = {
    "bad bodies": "nonsense: the handler raised ValueError: told to",
    "bad JSON": "a number: the answer shows a stack trace",
    "bad parameters": "unknown parameter: answered with 200, expected 400",
    "batch against single": "request 2 of 4: the answer",
    "bad requests in a batch": "request 3 (good): ",
    "memory": "MB over",
    "silence on stdout": "it printed '[METRICS]",
}
SOUND = ("load", "description", "example", "golden requests", "content types", "bad arrays")


def test_planted_faults_are_found(
    bad: Project, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad.root)
    (bad.root / "test_more.py").write_text("def test_more():\n    assert False\n")
    done = pytester.runpytest_subprocess("--marquee-model", "cifar", "-v", "-p", "no:cacheprovider")
    assert done.ret == 1
    said = done.stdout.str()
    assert "test_more" not in said
    for name, words in FAULTS.items():
        assert f"marquee::cifar::{name} FAILED" in said
        assert words in said
    for name in SOUND:
        assert f"marquee::cifar::{name} PASSED" in said
    done.assert_outcomes(passed=17 - len(FAULTS), failed=len(FAULTS))


def test_paths_are_collected_as_well(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_own="def test_own():\n    pass\n")
    options = ("--marquee-model", "x", "--collect-only", "-q")
    both = pytester.runpytest_subprocess(*options, "test_own.py").stdout.str()
    assert "test_own.py::test_own" in both
    assert "marquee::x::load" in both
    alone = pytester.runpytest_subprocess(*options).stdout.str()
    assert "test_own" not in alone
    assert "17 tests collected" in alone  # one for each check


def test_an_unknown_model_is_told(
    small_project: Project, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_project.root)
    done = pytester.runpytest_subprocess("--marquee-model", "nobody", "-k", "load")
    assert done.ret == 1
    assert "there is no model 'nobody' (the models are: cifar)" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()


def test_without_the_option_nothing_changes(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makepyfile("def test_own():\n    pass\n")
    done = pytester.runpytest_subprocess("-v")
    done.assert_outcomes(passed=1)
    assert "marquee::" not in done.stdout.str()
