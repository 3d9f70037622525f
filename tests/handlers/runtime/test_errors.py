import json

from handlers.runtime.errors import RequestError


def all_kinds(kind: type[RequestError]) -> list[type[RequestError]]:
    return [kind, *(k for sub in kind.__subclasses__() for k in all_kinds(sub))]


def test_all_errors_have_torchserves_shape_and_stay_small() -> None:
    for kind in all_kinds(RequestError):
        body = kind("é" * 1_000_000).body()
        error = json.loads(body)
        assert [*error] == ["code", "type", "message"]
        assert error["code"] == kind.status
        assert len(body) < 64_000


def test_each_status_of_the_table_has_its_class() -> None:
    statuses = {kind.status for kind in all_kinds(RequestError)}
    assert statuses == {400, 406, 413, 415, 422, 500, 503, 507}
