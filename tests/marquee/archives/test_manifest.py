"""One reader of manifests, whichever way an archive comes in."""

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marquee.archives import listing, reader
from marquee.archives.inspection import inspect
from marquee.container import contents
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.torchserve import loaded, preflight
from marquee.versions import candidate
from tests.marquee.archives import odd
from tests.marquee.archives.odd import HANDLER, folder, mar, model, tar, text_of
from tests.support import make_project, marquee

MAKERS: dict[str, Callable[[Path, Any], Path]] = {"net.mar": mar, "net.tar.gz": tar, "net": folder}
DEEP = b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
# What the manifest is -> words of the sentence.
REFUSED: dict[str, tuple[Any, str]] = {
    "climbing": (model(modelName="../climb"), "the name is '../climb'"),
    "far climbing": (model(modelName="../../tmp/x"), "the name is"),
    "absolute": (model(modelName="/etc/x"), "the name is"),
    "slash": (model(modelName="a/b"), "the name is 'a/b'"),
    "space": (model(modelName="a b"), "the name is"),
    "fragment": (model(modelName="a#b"), "the name is"),
    "query": (model(modelName="a?b"), "the name is"),
    "percent": (model(modelName="a%2fb"), "the name is"),
    "letters": (model(modelName="modèle"), "the name is 'modèle'"),
    "digits of others": (model(modelName="net٣"), "the name is"),
    "newline": (model(modelName="net\n"), r"the name is 'net\n'"),
    "nul": (model(modelName="net\0"), r"the name is 'net\x00'"),
    "surrogate": (model(modelName="net\ud800"), "the name is"),
    "dots": (model(modelName=".."), "the name is"),
    "two dots": (model(modelName="a..b"), "no '..'"),
    "hyphen": (model(modelName="-rf"), "the name is"),
    "long": (model(modelName="n" * 161), "160 characters at the most"),
    "branch": (model(modelVersion="feature/x"), "the version is 'feature/x'"),
    "version of a path": (model(modelVersion="../1"), "the version is"),
    "version with a space": (model(modelVersion="1 0"), "the version is"),
    "long version": (model(modelVersion="1" * 65), "the version is"),
    "no name": (model(modelName=None), "has no model.modelName"),
    "empty name": (model(modelName=""), "has no model.modelName"),
    "no handler": (model(handler=None), "has no model.handler"),
    "list as a name": (model(modelName=["a"]), "has ['a'] as model.modelName, expected text"),
    "true": (model(modelVersion=True), "has True as model.modelVersion"),
    "no model": ({"runtime": "python"}, "has no 'model' object"),
    "model is text": ({"model": "net"}, "has no 'model' object"),
    "list": ([1, 2], "is no JSON object but ['1', '2']"),
    "null": (None, "is no JSON object"),
    "no JSON": (b"{", "is no JSON"),
    "empty": (b"", "is no JSON"),
    "deep": (DEEP, "is no JSON"),
    "twice": (b'{"model": {"modelName": "a", "modelName": "../b"}}', "a key twice"),
    "huge": (b" " * (1 << 20) + text_of(model()), "has more than 1048576 bytes"),
    "mark": (b"\xef\xbb\xbf" + text_of(model()), "byte order mark"),
    "utf-16": (json.dumps(model()).encode("utf-16"), "is UTF-16"),
    "utf-16 unmarked": (json.dumps(model()).encode("utf-16-le"), "is no JSON"),
    "latin-1": (json.dumps({"é": 1}, ensure_ascii=False).encode("latin-1"), "is no JSON"),
    "runtime": (model() | {"runtime": "ruby"}, "has the runtime 'ruby'"),
    "runtime list": (model() | {"runtime": []}, "has the runtime []"),
    "handler elsewhere": (model(handler="../../x.py"), "expected a file of the archive"),
    "handler lost": (model(handler="lost.py"), "names the handler 'lost.py', which it lacks"),
    "config elsewhere": (model(configFile="/etc/passwd"), "as model.configFile"),
}


def snapshot(root: Path) -> set[str]:
    """Everything below a folder, but the store's record of digests."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.name[0] != "."}


def sentence(act: Callable[[], object]) -> str:
    with pytest.raises(MarqueeError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", MAKERS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_served_is_a_sentence_that_names_the_file(
    case: str, file: str, tmp_path: Path
) -> None:
    manifest, words = REFUSED[case]
    path = MAKERS[file](tmp_path / file, manifest)
    said = sentence(lambda: reader.read(path))
    assert said.startswith(str(path))
    assert words in said


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("manifests") / "project")


@pytest.mark.parametrize("case", REFUSED)
def test_every_way_in_refuses_it_and_leaves_nothing_behind(
    case: str, project: Project, tmp_path: Path
) -> None:
    manifest, words = REFUSED[case]
    path = mar(tmp_path / "odd.mar", manifest)
    before = snapshot(project.root.parent)
    for act in (
        lambda: inspect(path),
        lambda: candidate.find(project, None, str(path)),
        lambda: candidate.find(project, "net", str(path)),
        lambda: contents.find(tmp_path),
    ):
        assert words in sentence(act)
    assert snapshot(project.root.parent) == before
    assert snapshot(tmp_path) == {"odd.mar"}


@pytest.mark.parametrize("file", MAKERS)
@pytest.mark.parametrize(
    ("manifest", "version"),
    [
        (model(modelVersion=None), "1.0"),
        (model(modelVersion=""), "1.0"),
        (model(modelVersion=1), "1"),
        (text_of(model(modelVersion="@")).replace(b'"@"', b"1.10"), "1.10"),
        (model(modelVersion="2024-01-01_rc.1"), "2024-01-01_rc.1"),
        ({"model": model()["model"]}, "2.0"),
        (model(serializedFile="", requirementsFile=None), "2.0"),
    ],
)
def test_what_can_be_served_is(manifest: Any, version: str, file: str, tmp_path: Path) -> None:
    found = reader.read(MAKERS[file](tmp_path / file, manifest))
    assert (found.name, found.version, found.handler) == ("net", version, "handler.py")


def test_a_name_of_a_number_is_text_and_handlers_may_come_from_torchserve(tmp_path: Path) -> None:
    found = reader.read(mar(tmp_path / "a.mar", model(modelName=7, handler="image_classifier")))
    assert (found.name, found.handler) == ("7", "image_classifier")
    assert inspect(tmp_path / "a.mar").model == "7"
    assert reader.read(mar(tmp_path / "b.mar", model(handler="handler:handle"))).name == "net"


# TorchServe ends at the start, with all models, for the first three.
CONFIGS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is no YAML of keys and values"),
    "list": (b"- 1", "is no YAML of keys and values"),
    "text": (b"hello", "is no YAML of keys and values"),
    "broken": (b"a: [", "is no YAML ("),
    "nul": (b"a: \0", "is no YAML ("),
    "deep": (b"a: " + b"[" * 100_000, "brackets more than 32 deep"),
    "deep without brackets": (b"a:\n " + b"- " * 3_000 + b"1", "is no YAML ("),
    "huge": (b"a: 1\n" * 30_000, "has more than 65536 bytes"),
    "two": (b"a: 1\n---\nb: 2\n", "is no YAML ("),
    "bomb": (
        b"a0: &a0 {x: 1}\n"
        + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 60)),
        "has 118 aliases",
    ),
}


@pytest.mark.parametrize("file", MAKERS)
@pytest.mark.parametrize("case", CONFIGS)
def test_a_configuration_that_torchserve_cannot_read_is_told(
    case: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, words = CONFIGS[case]
    monkeypatch.setattr(odd, "CONFIG", text)
    path = MAKERS[file](tmp_path / file, model(configFile="model-config.yaml"))
    said = sentence(lambda: reader.read(path))
    assert said.startswith(f"{path}: 'model-config.yaml' ")
    assert words in said
    if path.suffix == ".mar":
        assert words in sentence(lambda: inspect(path))
    assert reader.read(MAKERS[file](tmp_path / f"b-{file}", model())).name == "net"


def test_an_archive_that_is_packed_a_level_too_deep_says_so(tmp_path: Path) -> None:
    said = sentence(lambda: reader.read(mar(tmp_path / "a.mar", model(), top="net/")))
    assert "it holds net/MAR-INF/MANIFEST.json" in said
    said = sentence(lambda: reader.read(tar(tmp_path / "b.tar.gz", model(), top="")))
    assert "it has no MAR-INF/MANIFEST.json; but it holds MAR-INF/MANIFEST.json" in said


@pytest.mark.parametrize(
    ("name", "kind"),
    [("net/../../out", tarfile.REGTYPE), ("/out", tarfile.REGTYPE), ("net/x", tarfile.SYMTYPE)],
)
def test_a_tar_that_torchserve_would_unpack_elsewhere_is_refused(
    name: str, kind: bytes, tmp_path: Path
) -> None:
    path = tar(tmp_path / "net.tar.gz", model())
    with tarfile.open(tmp_path / "net.tar", "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    path.write_bytes(gzip.compress((tmp_path / "net.tar").read_bytes()))
    assert "is not safe" in sentence(lambda: reader.read(path))


def test_a_tar_whose_header_claims_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 6 << 30
    path = tmp_path / "net.tgz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(1 << 20)))
    assert "claims 6442450944 bytes" in sentence(lambda: reader.read(path))


def store_of(project: Project) -> Path:
    store = project.model_store
    mar(store / "good.mar", model(modelName="good", modelVersion=None))
    tar(store / "tarred.tar.gz", model(modelName="tarred"))
    folder(store / "open", model(modelName="open"))
    return store


def test_a_store_is_served_for_what_is_in_it_and_says_what_is_not(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "cifar")
    store = store_of(project)
    mar(store / "hash.mar", model(modelName="a#b"))
    mar(store / "z.mar", model(modelName="good", modelVersion="1.0"))
    mar(store / "a,b.mar", model(modelName="comma"))
    mar(store / "a..b.mar", model(modelName="dotted"))
    mar(store / "-m.mar", model(modelName="option"))
    folder(store / "All", model(modelName="every"))
    mar(store / "up.MAR", model(modelName="up"))
    (store / "cut.mar").write_bytes((store / "good.mar").read_bytes()[:90])
    (store / "gone.mar").symlink_to(store / "nowhere")
    os.mkfifo(store / "pipe.mar")
    (store / "lost+found").mkdir(mode=0o700)
    mar(folder(store / "deep" / "net", model()).parent / "in.mar", model())
    (store / "script" / "code").mkdir(parents=True)
    (store / "script" / "code" / "inference.py").write_bytes(HANDLER)
    for name in ("._good.mar", ".hidden.mar", "README.md", "net.pth"):
        (store / name).write_bytes(b"x")
    (store / "__MACOSX").mkdir()

    served = {"good": "1.0", "open": "2.0", "tarred": "2.0"}
    assert dict(loaded.models(project)) == served
    assert loaded.defaults(project) == served
    assert loaded.load_list(project) == "good.mar,open,tarred.tar.gz"
    preflight.check_archives(project)
    said = {Path(text.split()[0].rstrip(":")).name: text for text in preflight.left_out(project)}
    assert sorted(said) == [
        "-m.mar",
        "All",
        "a,b.mar",
        "a..b.mar",
        "cut.mar",
        "deep",
        "gone.mar",
        "hash.mar",
        "lost+found",
        "model_store",
        "pipe.mar",
        "script",
        "up.MAR",
        "z.mar",
    ]
    assert "rename it, to dotted-2.0" in said["a..b.mar"]
    assert "holds in.mar: move that up" in said["deep"]
    assert "code/inference.py: marquee archive script" in said["script"]
    assert "a version of its own" in said["z.mar"]
    assert "lacks cifar-2.0.mar, which is not served" in said["model_store"]


def test_a_folder_that_cannot_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mar(tmp_path / "good.mar", model())
    closed = tmp_path / "lost+found"
    closed.mkdir()
    ordinary = Path.exists

    def exists(self: Path) -> bool:
        if closed in self.parents:
            raise PermissionError(13, "Permission denied")
        return ordinary(self)

    # The tests may run as root, who may read everything.
    monkeypatch.setattr(Path, "exists", exists)
    found = listing.scan(tmp_path)
    assert [one.manifest.name for one in found.archives] == ["net"]
    assert found.passed_over == (f"{closed} cannot be read (Permission denied) and is passed over",)


def test_a_store_with_nothing_to_serve_is_refused_with_every_reason(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    mar(project.model_store / "climb.mar", model(modelName="../climb"))
    said = sentence(lambda: preflight.check_archives(project))
    assert "lacks any archive that can be served" in said
    assert "the name is '../climb'" in said


def test_load_models_of_the_configuration_is_heeded(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    store_of(project)
    project.properties["load_models"] = "good.mar, other=tarred.tar.gz"
    assert loaded.models(project) == [("good", "1.0"), ("other", "2.0")]
    assert loaded.load_list(project) is None


@pytest.mark.parametrize("word", ["inspect", "script"])
def test_paths_that_cannot_be_are_a_sentence(project: Project, word: str) -> None:
    done = marquee(project, "archive", word, "x" * 300, *(["--name", "n"] * (word == "script")))
    assert done.returncode == 1
    assert "File name too long" in done.stderr
    assert len(done.stderr.splitlines()) == 1
