import json
from pathlib import Path

from handlers.runtime.errors import InternalError, RequestError, raised


def all_kinds(kind: type[RequestError]) -> list[type[RequestError]]:
    return [kind, *(k for sub in kind.__subclasses__() for k in all_kinds(sub))]


def test_all_errors_have_torchserves_shape_and_stay_small() -> None:
    for kind in all_kinds(RequestError):
        body = kind("é" * 1_000_000).body()
        error = json.loads(body)
        assert [*error] == ["code", "type", "message"]
        assert error["code"] == kind.status
        assert len(body) < 64_000


def test_the_operator_is_told_what_the_client_is_not() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        failed = InternalError("see the log", cause=error)
    assert "JSONDecodeError" not in failed.body().decode()
    assert failed.reason.startswith("JSONDecodeError: Expecting property name")
    raising = _line_of('json.loads("{")')
    assert failed.reason.endswith(f"({Path(__file__).name}, line {raising})")
    assert raised(SystemExit()) == "SystemExit"
    assert len(raised(ValueError("x\n" * 100_000))) < 2000


def _line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_each_status_of_the_table_has_its_class() -> None:
    statuses = {kind.status for kind in all_kinds(RequestError)}
    assert statuses == {400, 406, 413, 415, 422, 500, 503, 507}
