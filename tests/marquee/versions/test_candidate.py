"""What a command names is found, inspected, and brought into the store."""

import json
import zipfile
from pathlib import Path

import pytest

from marquee.archives.manifest import MANIFEST
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.versions.candidate import Candidate, find
from tests.support import make_project


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", "cifar")


def archive(path: Path, name: str = "cifar", version: str = "5.0", code: str = "x = 1\n") -> Path:
    model = {"modelName": name, "modelVersion": version, "handler": "handler.py"}
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(MANIFEST, json.dumps({"model": model, "runtime": "python"}))
        made.writestr("handler.py", code)
    return path


def brought(project: Project, target: Path | str, model: str | None = "cifar") -> Candidate:
    return find(project, model, str(target))


def test_an_archive_from_elsewhere_is_copied_and_can_be_discarded(
    empty: Project, tmp_path: Path
) -> None:
    path = archive(tmp_path / "anything.mar")
    found = brought(empty, path)
    assert found.archive == empty.model_store / "cifar-5.0.mar"
    assert found.archive.read_bytes() == path.read_bytes()
    assert found.copied
    found.discard()
    assert not list(empty.model_store.glob("*cifar*"))


def test_an_archive_brings_its_signature_along_and_goes_with_it(
    empty: Project, tmp_path: Path
) -> None:
    path, stale = archive(tmp_path / "anything.mar"), empty.model_store / "cifar-5.0.mar.sig"
    stale.write_text("of an archive that is not there any more")
    assert brought(empty, path).copied
    assert not stale.exists()
    stale.with_name("cifar-5.0.mar").unlink()
    path.with_name("anything.mar.sig").write_text("signature")
    found = brought(empty, path)
    assert stale.read_text() == "signature"
    found.discard()
    assert not list(empty.model_store.glob("*cifar*"))


def test_an_archive_of_the_store_is_found_by_version_name_and_path(empty: Project) -> None:
    path = archive(empty.model_store / "cifar-5.0.mar")
    found = [brought(empty, target) for target in ("5.0", "cifar-5.0.mar", path)]
    assert [one.archive for one in found] == [path] * 3
    found[0].discard()
    assert path.is_file()


@pytest.mark.parametrize("place", ["elsewhere", "model_store"])
def test_an_unpacked_archive_is_told_for_what_it_is(
    empty: Project, tmp_path: Path, place: str
) -> None:
    folder = (tmp_path if place == "elsewhere" else empty.model_store) / "unpacked"
    with zipfile.ZipFile(archive(tmp_path / "some.mar")) as packed:
        packed.extractall(folder)
    target = folder if place == "elsewhere" else folder.name
    with pytest.raises(MarqueeError, match="unpacked is a folder; only .mar files"):
        brought(empty, target)


def test_a_version_has_one_content(empty: Project, tmp_path: Path) -> None:
    archive(empty.model_store / "cifar-5.0.mar")
    assert not brought(empty, archive(tmp_path / "same.mar")).copied
    with pytest.raises(MarqueeError, match=r"is another cifar 5\.0 .* a version of its own"):
        brought(empty, archive(tmp_path / "other.mar", code="x = 2\n"))


def test_an_archive_of_another_model_is_refused(empty: Project, tmp_path: Path) -> None:
    with pytest.raises(MarqueeError, match=r"is an archive of inkwash 5\.0, expected one of cifar"):
        brought(empty, archive(tmp_path / "new.mar", name="inkwash"))


def test_an_unsafe_archive_is_refused_before_it_is_copied(empty: Project, tmp_path: Path) -> None:
    path = archive(tmp_path / "new.mar")
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("../climbs", "out")
    with pytest.raises(MarqueeError, match=r"\.\./climbs"):
        brought(empty, path)
    assert not list(empty.model_store.glob("*cifar*"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.mar", "file:///x.mar", "s3://a/x.mar"])
def test_urls_are_refused_unless_allowed(empty: Project, url: str) -> None:
    with pytest.raises(MarqueeError, match="is not allowed by allowed_urls=none"):
        brought(empty, url)


def test_an_allowed_url_must_match_as_a_whole_and_not_climb(empty: Project, tmp_path: Path) -> None:
    path = archive(tmp_path / "new.mar")
    empty.properties["allowed_urls"] = f"file://{tmp_path}/.*"
    assert brought(empty, f"file://{path}").copied
    outside = (f"file://{tmp_path}/../etc/x.mar", f"http://x/?file://{path}")
    for url in (*outside, f"file://{tmp_path}/a%00.mar"):
        with pytest.raises(MarqueeError, match="is not allowed"):
            brought(empty, url)


def test_a_url_that_does_not_answer_is_told(empty: Project) -> None:
    empty.properties["allowed_urls"] = "http://127.0.0.1:9/.*"
    with pytest.raises(MarqueeError, match="cannot be downloaded"):
        brought(empty, "http://127.0.0.1:9/x.mar")
