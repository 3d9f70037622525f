"""The management client, against the real server; nothing is left changed."""

from collections.abc import Iterator

import pytest

from marquee.errors import MarqueeError
from marquee.torchserve.management import Management
from tests.support import Running


@pytest.fixture
def api(server: Running) -> Iterator[Management]:
    with Management(server.environment["TS_MANAGEMENT_ADDRESS"], server.keys) as connected:
        yield connected


def test_a_version_is_described(api: Management) -> None:
    found = api.describe("cifar", "2.0")
    assert found is not None
    assert (found.name, found.version, found.archive) == ("cifar", "2.0", "cifar-2.0.mar")
    assert found.ready
    assert (found.loaded, found.batch_size, found.pending, found.queue) == (1, 32, 0, 100)


def test_all_versions_and_the_default_are_known(api: Management) -> None:
    assert "cifar" in api.models()
    assert {found.version for found in api.versions("cifar")} >= {"1.0", "2.0"}
    assert api.default("cifar") == "2.0"


def test_what_the_server_does_not_have_is_none(api: Management) -> None:
    assert api.describe("cifar", "77.0") is None
    assert api.describe("nothing", "1.0") is None
    assert api.default("nothing") is None
    assert api.versions("nothing") == []
    api.unregister("cifar", "77.0")


def test_a_refusal_is_told_in_the_servers_words(api: Management) -> None:
    with pytest.raises(MarqueeError, match=r"cannot register cifar-2.0.mar: .*already registered"):
        api.register("cifar-2.0.mar")
    with pytest.raises(MarqueeError, match="cannot make 77.0 the default version of cifar"):
        api.set_default("cifar", "77.0")


def test_the_default_moves_and_comes_back(api: Management) -> None:
    try:
        api.set_default("cifar", "1.0")
        assert api.default("cifar") == "1.0"
    finally:
        api.set_default("cifar", "2.0")
    assert api.default("cifar") == "2.0"


def test_no_server_is_told(server: Running) -> None:
    with (
        Management("http://127.0.0.1:9", server.keys) as api,
        pytest.raises(MarqueeError, match="no server answers at http://127.0.0.1:9"),
    ):
        api.models()
    assert not Management("http://127.0.0.1:9", None).answers()
