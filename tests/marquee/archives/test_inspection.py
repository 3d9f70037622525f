"""Archives looked into: what is in them, and every way they can be unsafe."""

import hashlib
import io
import json
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from marquee.archives.digests import content_digest, entry_digests, file_digest, statement
from marquee.archives.inspection import diff, inspect
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.support import marquee

MANIFEST = "MAR-INF/MANIFEST.json"
MODEL = {"modelName": "m", "modelVersion": "1", "handler": "handler.py"}


def foreign(path: Path, *more: tuple[zipfile.ZipInfo | str, bytes], **model: str) -> Path:
    """Write an archive as torch-model-archiver does, with further entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps({"runtime": "python", "model": MODEL | model}))
        archive.writestr("handler.py", "class Handler: ...\n")
        for name, content in more:
            archive.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(MarqueeError) as caught:
        inspect(path)
    return str(caught.value)


def entry(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    return info


def test_ours(small_project: Project) -> None:
    path = small_project.model_store / "cifar-2.0.mar"
    found = inspect(path)
    assert (found.model, found.version, found.handler) == ("cifar", "2.0", "handler.py")
    assert found.sha256 == file_digest(path)
    assert found.content is not None
    assert len(found.content) == 64
    assert "precision: fp32" in str(found.config)
    assert found.golden == ("example.png as application/json", "example.png as application/x-npy")
    example = small_project.handlers / "cifar" / "example.png"
    assert found.entries["example.png"].sha256 == file_digest(example)
    assert found.unpacked_size > found.entries["vgg11.pth"].size > 1 << 20


def test_a_foreign_archive_is_safe_but_states_no_digest(tmp_path: Path) -> None:
    found = inspect(foreign(tmp_path / "x.mar"))
    assert found.content is None
    assert found.golden == ()
    assert inspect(foreign(tmp_path / "y.mar", handler="image_classifier")).version == "1"


UNSAFE: dict[str, tuple[tuple[zipfile.ZipInfo | str, bytes], str]] = {
    "climbing": (("../evil.py", b""), "leads out of the archive"),
    "climbing inside": (("a/../../evil.py", b""), "leads out of the archive"),
    "climbing by backslash": (("a\\..\\..\\evil.py", b""), "leads out of the archive"),
    "absolute": (("/etc/evil", b""), "is an absolute path"),
    "drive": (("C:/evil", b""), "is an absolute path"),
    "backslash": (("a\\b", b""), "read differently"),
    "terminal": (("a\x1b[2Jb", b""), "no text"),
    "absolute link": ((entry("link", stat.S_IFLNK), b"/etc/passwd"), "is a link"),
    "climbing link": ((entry("link", stat.S_IFLNK), b"../../x"), "is a link"),
    "device": ((entry("null", stat.S_IFCHR), b""), "neither a file nor a folder"),
    "file as folder": (("handler.py/x", b""), "is a file and a folder"),
    "bomb": (("zeros.bin", bytes(70 << 20)), "more than 100 times its size"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_not_safe_is_refused(tmp_path: Path, name: str) -> None:
    content, words = UNSAFE[name]
    assert words in refusal(foreign(tmp_path / "x.mar", content))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = foreign(tmp_path / "x.mar", ("handler.py", b"other"))
    assert "holds 'handler.py' twice" in refusal(path)


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = foreign(tmp_path / "x.mar", ("a.bin", bytes(5000)))
    monkeypatch.setenv("MARQUEE_MAX_ARCHIVE_BYTES", "4000")
    said = refusal(path)
    assert "expected at most 4000" in said
    assert "set MARQUEE_MAX_ARCHIVE_BYTES" in said
    monkeypatch.setenv("MARQUEE_MAX_ARCHIVE_BYTES", "much")
    assert "is 'much', expected a number" in refusal(path)


def flip(path: Path, position: int, bits: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= bits
    path.write_bytes(data)


def test_encrypted_files_are_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "x.mar", ("secret.py", b"x"))
    at = path.read_bytes().rindex(b"PK\x01\x02")
    flip(path, at + 8, 1)
    assert "'secret.py' is encrypted" in refusal(path)


def rewritten(path: Path, change: Callable[[bytes, int], bytes]) -> Path:
    """Change an archive's bytes before its directory, and where its end says that is."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    body = change(data[:start], start)
    end = bytearray(data[start:])
    struct.pack_into("<L", end, len(end) - 6, len(body))
    path.write_bytes(body + end)
    return path


def test_files_that_only_torchserve_would_unpack_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as other:
        other.writestr("evil.py", "import os")
        hidden = stream.getvalue()[: other.start_dir]
    path = rewritten(foreign(tmp_path / "x.mar"), lambda body, _: body + hidden)
    assert zipfile.ZipFile(path).namelist() == [MANIFEST, "handler.py"]
    assert "does not list" in refusal(path)
    path = foreign(tmp_path / "y.mar")
    path.write_bytes(hidden + path.read_bytes())
    assert "does not list" in refusal(path)


def test_a_size_that_both_ends_tell_differently_is_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "x.mar", ("a.py", b"x = 1"))
    at = path.read_bytes().rindex(b"PK\x03\x04")
    flip(path, at + 18, 1)
    assert "does not list" in refusal(path)


def test_an_archive_written_as_a_stream_is_read(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        """Nothing to seek in: sizes follow the files."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps({"model": MODEL}))
        archive.writestr("handler.py", "x")
    path = tmp_path / "x.mar"
    path.write_bytes(pipe.data)
    assert list(inspect(path).entries) == [MANIFEST, "handler.py"]


def test_a_file_changed_afterwards_is_noticed(small_project: Project, tmp_path: Path) -> None:
    path = tmp_path / "x.mar"
    shutil.copyfile(small_project.model_store / "cifar-2.0.mar", path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("added.py", "")
    assert "not what its manifest says" in refusal(path)


def changed(source: Path, target: Path, files: Mapping[str, bytes | None], **stated: str) -> Path:
    """Write an archive's like with other files, None for absent, and another statement."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        kept: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
        manifest = json.loads(old.read(MANIFEST))
        manifest["marquee"] |= stated
        manifest["marquee"] = {k: v for k, v in manifest["marquee"].items() if v}
        for name, data in (kept | {MANIFEST: json.dumps(manifest).encode()} | {**files}).items():
            if data is not None:
                new.writestr(name, data)
    return target


def restated(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return statement(entry_digests(archive))


# As an answer of another processor: other last digits, and another tolerance with them.
ANSWER = "golden/1.json"


def test_golden_answers_are_no_content_and_yet_cannot_be_changed(
    small_project: Project, tmp_path: Path
) -> None:
    ours = small_project.model_store / "cifar-2.0.mar"
    with zipfile.ZipFile(ours) as archive:
        told = json.loads(archive.read(ANSWER))
    told["probabilities"]["ship"] *= 1 - 1e-6
    rounded = {ANSWER: json.dumps(told).encode()}
    assert "not what its manifest says" in refusal(changed(ours, tmp_path / "a.mar", rounded))
    assert "not what its manifest says" in refusal(
        changed(ours, tmp_path / "b.mar", {ANSWER: b"{}"})
    )
    right = restated(tmp_path / "a.mar")
    there = inspect(changed(ours, tmp_path / "there.mar", rounded, **right))
    here = inspect(ours)
    assert here.content == there.content
    found = diff(here, there)
    assert (found.content, found.golden) == ("same", "alike")
    assert [one.name for one in found.changes] == [MANIFEST, ANSWER]


def test_another_networks_answers_are_told_from_another_processors(
    small_project: Project, tmp_path: Path
) -> None:
    ours = small_project.model_store / "cifar-2.0.mar"
    with zipfile.ZipFile(ours) as archive:
        told = json.loads(archive.read(ANSWER))
    told["probabilities"]["ship"] *= 0.5
    other = {ANSWER: json.dumps(told).encode()}
    right = restated(changed(ours, tmp_path / "a.mar", other))
    found = diff(inspect(ours), inspect(changed(ours, tmp_path / "b.mar", other, **right)))
    assert (found.content, found.golden) == ("same", "changed")


@pytest.mark.parametrize(
    "name", ["golden/__init__.py", "golden/1.py", "golden/a/1.json", "Golden/1.json"]
)
def test_no_code_hides_among_golden_answers(name: str) -> None:
    assert content_digest({"handler.py": "1"}) != content_digest({"handler.py": "1", name: "2"})


def test_an_archive_of_an_earlier_version_is_right_by_its_own_digest(
    small_project: Project, tmp_path: Path
) -> None:
    """One digest over everything but the manifest, golden answers and all."""
    ours = small_project.model_store / "cifar-2.0.mar"
    with zipfile.ZipFile(ours) as archive:
        digests = entry_digests(archive)
    total = hashlib.sha256()
    for name, digest in sorted(digests.items()):
        if name != MANIFEST:
            total.update(f"{name}\0{digest}\0".encode())
    early = {"content": total.hexdigest(), "golden": ""}
    assert inspect(changed(ours, tmp_path / "a.mar", {}, **early)).content == early["content"]
    answered = changed(ours, tmp_path / "b.mar", {ANSWER: b"{}"}, **early)
    assert "not what its manifest says" in refusal(answered)


def test_a_damaged_file_is_noticed(tmp_path: Path) -> None:
    path = foreign(tmp_path / "x.mar", ("data.bin", b"some bytes"))
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("data.bin").header_offset + 30 + len("data.bin")
    flip(path, place + 3, 0xFF)
    assert "is damaged" in refusal(path)
    path.write_bytes(path.read_bytes()[:-30])
    assert "no zip file" in refusal(path)


def test_what_is_no_archive(tmp_path: Path) -> None:
    assert "there is no archive" in refusal(tmp_path / "absent.mar")
    assert "is a folder; only .mar files" in refusal(tmp_path)
    packed = tmp_path / "x.tar.gz"
    packed.write_bytes(b"\x1f\x8b")
    assert "is no zip file; only .mar files" in refusal(packed)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"handler": "absent.py"}, "names the handler 'absent.py', which it lacks"),
        ({"handler": "../../handler"}, "expected a file of the archive"),
        ({"serializedFile": "w.pth"}, "names the serializedFile 'w.pth', which it lacks"),
        ({"modelVersion": "feature/x"}, "the version is 'feature/x'"),
    ],
)
def test_a_manifest_must_tell_the_truth(tmp_path: Path, model: dict[str, str], words: str) -> None:
    assert words in refusal(foreign(tmp_path / "x.mar", **model))


@pytest.mark.parametrize("text", ["", "[]", '{"model": []}', "{", "[" * 100_000])
def test_a_manifest_must_be_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, text)
    assert MANIFEST in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("handler.py", "")
    assert f"it has no {MANIFEST}" in refusal(path)


def test_a_difference_is_told_file_by_file(tmp_path: Path) -> None:
    config = ("model-config.yaml", b"batchSize: 8\nmaxWorkers: 1\n")
    names = {"serializedFile": "w.pth", "configFile": config[0]}
    one = foreign(tmp_path / "a.mar", config, ("w.pth", b"1"), ("old.txt", b"x"), **names)
    other = (config[0], config[1].replace(b"8", b"16"))
    two = foreign(tmp_path / "b.mar", other, ("w.pth", b"1"), ("new.txt", b"x"), **names)
    found = diff(inspect(one), inspect(two))
    assert found.weights == "same"
    assert [(change.verb, change.name) for change in found.changes] == [
        ("changed", "model-config.yaml"),
        ("added", "new.txt"),
        ("removed", "old.txt"),
    ]
    assert "-batchSize: 8\n+batchSize: 16\n maxWorkers: 1\n" in str(found.changes[0].text)
    three = foreign(tmp_path / "c.mar", config, ("w.pth", b"2"), **names)
    assert diff(inspect(one), inspect(three)).weights == "changed"
    assert diff(inspect(one), inspect(one)).changes == ()


def test_the_commands(small_project: Project, tmp_path: Path) -> None:
    shown = marquee(small_project, "archive", "inspect", "cifar-2.0")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("cifar 2.0  (")
    assert "safe      yes" in shown.stdout
    assert "weights   vgg11.pth (demo)" in shown.stdout
    plain = json.loads(marquee(small_project, "archive", "inspect", "cifar-2.0", "--json").stdout)
    assert plain["safe"] is True
    assert plain["entries"]["vgg11.pth"]["size"] > 1 << 20
    bad = foreign(tmp_path / "bad.mar", ("../evil", b""))
    refused = marquee(small_project, "archive", "inspect", str(bad))
    assert refused.returncode == 1
    assert "'../evil' leads out of the archive" in refused.stderr
    refused = marquee(small_project, "archive", "inspect", str(bad), "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["safe"] is False
    good = str(foreign(tmp_path / "good.mar"))
    compared = marquee(small_project, "archive", "diff", "cifar-2.0", good)
    assert compared.returncode == 0, compared.stderr
    assert "removed  vgg11.pth" in compared.stdout
    assert "weights: changed" in compared.stdout
    listed = json.loads(marquee(small_project, "archive", "diff", good, good, "--json").stdout)
    same = {"weights": "same", "content": "same", "golden": "same"}
    assert listed == same | {"changes": []}
    unknown = marquee(small_project, "archive", "inspect", "nobody")
    assert "the model store holds cifar-2.0.mar" in unknown.stderr
