"""A server that runs signed archives only: what it loads at start, and what operators bring it."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marquee.archives import trust
from tests.marquee.archives import odd
from tests.marquee.archives.signing import key_pair
from tests.support import Running, make_project, marquee, server_environment, serving

pytestmark = pytest.mark.server


def run(running: Running, *words: str | Path) -> tuple[int, str]:
    done = marquee(running.project, *map(str, words), **running.environment)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Iterator[Running]:
    """A server of one signed archive, net 2.0."""
    project = make_project(tmp_path_factory.mktemp("trusting") / "project")
    (project.root / "keys").mkdir()
    (project.root / "keys" / "ours.pub").write_bytes(keys[1].read_bytes())
    config = project.root / "config.properties"
    text = config.read_text()
    config.write_text(text.replace("\nmarquee.trust=", "\nmarquee.trust=keys/ours.pub"))
    archive = odd.mar(project.model_store / "net-2.0.mar", odd.model())
    trust.sign(archive, keys[0])
    stranger = odd.mar(project.model_store / "stranger.mar", odd.model(modelName="stranger"))
    with_stranger = marquee(project, "serve", **server_environment(project.root / "t"))
    assert with_stranger.returncode == 1
    assert "stranger.mar is not signed" in with_stranger.stderr
    stranger.unlink()
    with serving(project) as made:
        yield made


def test_a_signed_archive_is_served_whatever_becomes_of_its_file(running: Running) -> None:
    archive = running.project.model_store / "net-2.0.mar"
    before = archive.read_bytes()
    with zipfile.ZipFile(archive, "a") as changed:
        changed.writestr("more.py", "")
    try:
        code, said = run(running, "scale", "net", "--workers", "2")
        assert code == 0, said
        with running.client() as client:
            assert client.post("/predictions/net", content=b"meow").text == "meow"
    finally:
        archive.write_bytes(before)


def test_an_unsigned_archive_is_neither_registered_nor_swapped_in(
    running: Running, tmp_path: Path
) -> None:
    archive = odd.mar(tmp_path / "net-3.0.mar", odd.model(modelVersion="3.0"))
    for words in (("register", archive), ("swap", "net", archive)):
        code, said = run(running, *words)
        assert code == 1
        assert "is not signed: there is no net-3.0.mar.sig beside it" in said
    store = running.project.model_store
    assert [path.name for path in store.glob("*3.0*")] == []


def test_a_signed_archive_is_registered_and_keeps_its_signature(
    running: Running, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    archive = odd.mar(tmp_path / "new.mar", odd.model(modelVersion="4.0"))
    trust.sign(archive, keys[0])
    code, said = run(running, "register", archive)
    assert code == 0, said
    kept = running.project.model_store / "net-4.0.mar"
    assert trust.verify(kept, [keys[1]]) == keys[1]


def test_the_management_address_knows_no_archive_that_was_not_checked(running: Running) -> None:
    archive = odd.mar(running.project.model_store / "evil.mar", odd.model(modelName="evil"))
    try:
        with running.management() as client:
            answer = client.post("/models", params={"url": "evil.mar"})
        assert answer.status_code == 404, answer.text
    finally:
        archive.unlink()
