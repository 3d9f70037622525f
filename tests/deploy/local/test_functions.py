"""Functions as Lambda runs them, each in a real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.functions import RESPONSE_BYTES, DeployedFunction, InvocationResult, Pool

CODE = """
import os, sys, time

def echo(event, context):
    print("a word for the log")
    return {"event": event, "name": context.function_name, "id": context.aws_request_id,
            "pid": os.getpid(), "left": context.get_remaining_time_in_millis()}

def fail(event, context): raise KeyError("gone")
def leave(event, context): sys.exit(3)
def sleep(event, context): time.sleep(30)
def large(event, context): return "x" * int(event)
def odd(event, context): return {1, 2}
def environment(event, context): return dict(os.environ)
"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(CODE)
    made = Pool("http://127.0.0.1:9", tmp_path / "log.txt")
    yield made
    made.close()


def run(pool: Pool, folder: Path, name: str, event: Any = None, **more: Any) -> InvocationResult:
    """Run ``app.<name>``."""
    given: dict[str, Any] = {"seconds": 5.0, "memory": 128, "revision": "1"}
    given |= {"handler": f"app.{name}"} | more
    function = DeployedFunction(name="f", arn="arn:f", code=folder / "code", **given)
    return pool.invoke(function, event, "the-id")


def error(outcome: InvocationResult) -> dict[str, Any]:
    """Return the error that the outcome must be."""
    assert outcome.error
    found: dict[str, Any] = json.loads(outcome.payload)
    return found


def test_a_result_comes_back_with_what_the_context_said(pool: Pool, tmp_path: Path) -> None:
    found = json.loads(run(pool, tmp_path, "echo", {"a": [1, None]}).payload)
    assert found["event"] == {"a": [1, None]}
    assert (found["name"], found["id"]) == ("f", "the-id")
    assert 0 < found["left"] <= 5000


def test_what_a_function_prints_goes_to_its_log(pool: Pool, tmp_path: Path) -> None:
    run(pool, tmp_path, "echo")
    assert "a word for the log" in (tmp_path / "log.txt").read_text()


def test_a_process_stays_warm_for_the_next_invocation(pool: Pool, tmp_path: Path) -> None:
    pids = {json.loads(run(pool, tmp_path, "echo").payload)["pid"] for _ in range(3)}
    assert len(pids) == 1


def test_new_code_or_settings_get_a_fresh_process(pool: Pool, tmp_path: Path) -> None:
    one = json.loads(run(pool, tmp_path, "echo", revision="1").payload)
    two = json.loads(run(pool, tmp_path, "echo", revision="2").payload)
    assert one["pid"] != two["pid"]


def test_an_exception_is_told_as_lambda_tells_it(pool: Pool, tmp_path: Path) -> None:
    found = error(run(pool, tmp_path, "fail"))
    assert (found["errorType"], found["errorMessage"]) == ("KeyError", "'gone'")
    assert "app.py" in found["stackTrace"][0]


def test_a_process_that_ends_is_replaced(pool: Pool, tmp_path: Path) -> None:
    assert "exit status 3" in error(run(pool, tmp_path, "leave"))["errorMessage"]
    assert not run(pool, tmp_path, "echo").error


def test_a_function_that_takes_too_long_is_stopped(pool: Pool, tmp_path: Path) -> None:
    found = error(run(pool, tmp_path, "sleep", seconds=0.3))
    assert found["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 0.30 seconds" in found["errorMessage"]


def test_a_result_over_six_megabytes_is_an_error(pool: Pool, tmp_path: Path) -> None:
    found = error(run(pool, tmp_path, "large", RESPONSE_BYTES))
    assert found["errorType"] == "Function.ResponseSizeTooLarge"
    assert not run(pool, tmp_path, "large", RESPONSE_BYTES - 2).error


def test_a_result_that_is_no_json_is_an_error(pool: Pool, tmp_path: Path) -> None:
    assert error(run(pool, tmp_path, "odd"))["errorType"] == "Runtime.MarshalError"


@pytest.mark.parametrize(
    ("handler", "kind"),
    [("nothing.run", "Runtime.ImportModuleError"), ("app.nothing", "Runtime.HandlerNotFound")],
)
def test_a_handler_that_is_not_there_is_an_error(
    pool: Pool, tmp_path: Path, handler: str, kind: str
) -> None:
    assert error(run(pool, tmp_path, "", handler=handler))["errorType"] == kind


def test_a_function_sees_its_own_settings_and_none_of_the_users(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("MY_PASSWORD", "x")
    outcome = run(pool, tmp_path, "environment", environment={"BUCKET": "b"})
    found = json.loads(outcome.payload)
    assert found["BUCKET"] == "b"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert not {"AWS_PROFILE", "MY_PASSWORD"} & found.keys()
    assert found["AWS_CONFIG_FILE"] == "/dev/null"


def test_a_closed_pool_has_no_processes(pool: Pool, tmp_path: Path) -> None:
    import psutil  # noqa: PLC0415

    pid = json.loads(run(pool, tmp_path, "echo").payload)["pid"]
    pool.close()
    assert not psutil.pid_exists(pid)
    assert error(run(pool, tmp_path, "echo"))["errorType"] == "Runtime.Shutdown"
