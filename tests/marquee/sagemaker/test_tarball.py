"""The model.tar.gz: what is inside, byte for byte, and what is refused."""

import hashlib
import os
import tarfile
import time
from pathlib import Path

import pytest

from marquee.archives import listing, model_folder, rooms
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.sagemaker import tarball
from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder
from tests.support import marquee

pytestmark = pytest.mark.slow


def unpacked(path: Path, into: Path) -> dict[str, bytes]:
    files = model_folder.files(model_folder.unpack(path, into))
    return {name: file.read_bytes() for name, file in files.items()}


def test_the_archive_comes_out_as_it_stands_in_the_model_store(
    small_project: Project, tmp_path: Path
) -> None:
    output = tmp_path / "model.tar.gz"
    done = marquee(small_project, "sagemaker", "pack", "cifar", "-o", str(output))
    assert done.returncode == 0, done.stderr
    (stored,) = (one.path for one in listing.scan(small_project.model_store).archives)
    assert unpacked(output, tmp_path / "out") == {stored.name: stored.read_bytes()}
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    assert done.stdout.splitlines() == [f"packed  sha256:{digest}  {output}", "  cifar-2.0.mar"]


def test_of_several_versions_the_default_is_packed_unless_others_are_named(
    project: Project,
) -> None:
    def chosen(*asked: str) -> list[str]:
        return [version.version for version in tarball.chosen(project, "cifar", asked)]

    assert rooms.default_version(project, "cifar") == "2.0"
    assert chosen() == ["2.0"]
    assert chosen("1.0", "2.0", "1.0") == ["1.0", "2.0"]
    assert set(chosen("all")) >= {"1.0", "2.0", "91.0"}
    with pytest.raises(MarqueeError, match=r"no version '7.0'; it has 1.0, 2.0"):
        chosen("7.0")


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first = make_folder(tmp_path / "a", scripts.HOOKS, model__pth=b"1" * 100_000)
    second = make_folder(tmp_path / "b", scripts.HOOKS, model__pth=b"1" * 100_000)
    for path in second.rglob("*"):
        os.utime(path, (time.time() - 1e6,) * 2)
        path.chmod(0o700)
    (second / "code" / "__pycache__").mkdir()
    (second / "code" / "__pycache__" / "inference.pyc").write_bytes(b"litter")
    one = tarball.pack_script(first, tmp_path / "a.tar.gz")
    two = tarball.pack_script(second, tmp_path / "b.tar.gz")
    assert one.sha256 == two.sha256
    assert one.members == two.members == ("code/inference.py", "model.pth")
    again = tarball.pack_script(one.path, tmp_path / "c.tar.gz")
    assert again.sha256 == one.sha256


def test_entries_belong_to_nobody_and_can_be_read_by_all(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.HOOKS)
    packed = tarball.pack_script(folder, tmp_path / "m.tar.gz")
    with tarfile.open(packed.path) as archive:
        (entry,) = archive.getmembers()
    assert (entry.uid, entry.gid, entry.uname, entry.mode) == (0, 0, "", 0o644)
    assert packed.path.read_bytes()[4:8] == bytes(4)  # no time in the gzip header


def test_what_is_no_model_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "model.tar.gz"
    (tmp_path / "empty").mkdir()
    for source, words in (("empty", "no model folder"), ("absent", "neither a folder nor")):
        with pytest.raises(MarqueeError, match=words):
            tarball.pack_script(tmp_path / source, output)
    folder = make_folder(tmp_path / "m", scripts.HOOKS)
    with pytest.raises(MarqueeError, match="there is no folder"):
        tarball.pack_script(folder, tmp_path / "absent" / "model.tar.gz")
    assert not [*tmp_path.glob("*.gz"), *tmp_path.glob(".*")]


def test_a_file_that_changes_while_it_is_packed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tmp_path / "weights.mar"
    content.write_bytes(b"before")
    monkeypatch.setattr(tarball, "file_digest", lambda _path: "of other bytes")
    with pytest.raises(MarqueeError, match="weights.mar changed while it was packed"):
        tarball.write({"weights.mar": content}, tmp_path / "model.tar.gz")
    assert not (tmp_path / "model.tar.gz").exists()
