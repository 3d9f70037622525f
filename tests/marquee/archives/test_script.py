"""Archives of SageMaker model folders, built for real and loaded as a worker would."""

import gzip
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from marquee.archives import golden, model_folder, reader, requirements
from marquee.archives.script import ScriptSource, build
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder
from tests.support import make_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("project") / "project", "script")


def run_archiver(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    from tests.support import marquee  # noqa: PLC0415

    return marquee(project, "archive", *words)


def config_in(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        config: dict[str, object] = yaml.safe_load(archive.read("model-config.yaml"))
    return config


def test_a_folder_becomes_an_archive_and_stays_until_it_changes(
    project: Project, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "m", scripts.HOOKS, labels__json=b'["plane"]')
    (folder / "code" / "helpers.py").write_text("def greet():\n    return 'hello'\n")
    (folder / "code" / "requirements.txt").write_text("numpy>=1\npillow\n")
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "x.pyc").write_bytes(b"")
    words = ("script", str(folder), "--name", "greeter", "--version", "2.1")
    done = run_archiver(project, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("built ")
    path = project.model_store / "greeter-2.1.mar"
    assert reader.read(path).content["model"] == {
        "modelName": "greeter",
        "modelVersion": "2.1",
        "handler": "handler.py",
        "configFile": "model-config.yaml",
        "requirementsFile": "requirements.txt",
    }
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    assert {"sagemaker/code/inference.py", "sagemaker/labels.json", "requirements.txt"} <= names
    assert not [name for name in names if "pycache" in name or name.startswith("marquee")]
    assert config_in(path)["batchSize"] == 1
    assert "up to date" in run_archiver(project, *words).stdout
    (folder / "labels.json").write_bytes(b'["car"]')
    assert run_archiver(project, *words).stdout.startswith("built ")


def test_a_tar_with_an_example_is_tried_with_it(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.MODEL_ONLY)
    packed = tmp_path / "model.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, ".")
    example = tmp_path / "numbers.json"
    example.write_text("[[1, 2]]")
    source = ScriptSource(packed, "halves", example=example)
    built = build(project, source)
    assert built.fresh
    assert config_in(built.path)["batchSize"] == 8
    assert not build(project, source).fresh
    example.write_text("no numbers")
    with pytest.raises(MarqueeError, match=r"halves 1.0 does not load.*example.json.*400"):
        build(project, source)


TYPED = """
def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return {"application/x-image": bytes}[content_type](body)

def predict_fn(data, model):
    return len(data)
"""


def test_an_examples_type_is_stated_and_a_refused_one_says_why(
    project: Project, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "m", TYPED)
    (tmp_path / "photo.bin").write_bytes(b"1234")
    words = ("script", str(folder), "--name", "typed", "--example", str(tmp_path / "photo.bin"))
    refused = run_archiver(project, *words)
    assert refused.returncode == 1
    assert "KeyError: 'application/octet-stream' (inference.py, line 6)" in refused.stderr
    assert "log" not in refused.stderr
    done = run_archiver(project, *words, "--example-type", "application/x-image")
    assert done.returncode == 0, done.stderr
    (asked,) = golden.read(project.model_store / "typed-1.0.mar")
    assert (asked.headers["Content-Type"], asked.expected) == ("application/x-image", b"4")
    wrong = run_archiver(project, *words, "--example-type", "image")
    assert "example_type is 'image', expected a type such as" in wrong.stderr
    alone = run_archiver(project, *words[:4], "--example-type", "image/png")
    assert "needs the file: --example FILE" in alone.stderr


def test_what_does_not_load_is_told_in_a_line(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", "import no_such_package\n\ndef model_fn(d): pass\n")
    done = run_archiver(project, "script", str(folder), "--name", "x")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install no-such-package" in done.stderr
    assert not (project.model_store / "x-1.0.mar").exists()


def test_names_and_folders_are_checked_first(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.TUPLE)
    for name in ("../x", "", ".x", "a b"):
        with pytest.raises(MarqueeError, match="the name is"):
            build(project, ScriptSource(folder, name))
    with pytest.raises(MarqueeError, match="the version is"):
        build(project, ScriptSource(folder, "x", version="1/0"))
    with pytest.raises(MarqueeError, match="neither a folder nor"):
        build(project, ScriptSource(tmp_path / "absent", "x"))
    with pytest.raises(MarqueeError, match="no example"):
        build(project, ScriptSource(folder, "x", example=tmp_path / "absent"))
    with pytest.raises(MarqueeError, match="no train.py"):
        build(project, ScriptSource(folder, "x", program="train.py"))
    assert run_archiver(project, "script", str(folder)).returncode == 2


def test_the_projects_own_models_are_not_overwritten(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", "script", "cifar")
    folder = make_folder(tmp_path / "m", scripts.TUPLE)
    with pytest.raises(MarqueeError, match="own models"):
        build(project, ScriptSource(folder, "cifar"))


def test_what_is_no_model_folder(tmp_path: Path) -> None:
    empty = make_folder(tmp_path / "empty")
    with pytest.raises(MarqueeError, match="no model folder"):
        model_folder.check(empty, None)
    half = make_folder(tmp_path / "half", "def predict_fn(d, m): pass\n")
    with pytest.raises(MarqueeError, match="with a model_fn"):
        model_folder.check(half, None)
    broken = make_folder(tmp_path / "broken", "def model_fn(:\n")
    with pytest.raises(MarqueeError, match="line 1"):
        model_folder.check(broken, None)
    (broken / "code" / "inference.py").write_bytes("def model_fn(d): pass".encode("utf-16-le"))
    with pytest.raises(MarqueeError, match=r"inference\.py.*null bytes"):
        model_folder.check(broken, None)
    hiding = make_folder(tmp_path / "hiding", scripts.TUPLE)
    (hiding / "code" / "handlers.py").write_text("")
    with pytest.raises(MarqueeError, match="rename it"):
        model_folder.check(hiding, None)


def test_a_folder_packed_a_level_too_deep_is_looked_into(project: Project, tmp_path: Path) -> None:
    make_folder(tmp_path / "m" / "net", scripts.MODEL_ONLY)
    packed_tar = tmp_path / "model.tar.gz"
    for name in ("._net", "__MACOSX/net/code/inference.py", "net/._inference.py", ".DS_Store"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text("a Mac was here")
    with tarfile.open(packed_tar, "w:gz") as archive:
        archive.add(tmp_path / "m", ".")
    for number, source in enumerate((tmp_path / "m", packed_tar)):
        built = build(project, ScriptSource(source, f"deep{number}"))
        with zipfile.ZipFile(built.path) as made:
            inside = [name for name in made.namelist() if name.startswith("sagemaker/")]
        assert inside == ["sagemaker/code/inference.py"]


def test_what_a_tar_holds_in_place_of_a_model_is_told(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "model.tar.gz"
    with tarfile.open(outside, "w:gz") as archive:
        archive.addfile(member("export/net.mar"))
    with pytest.raises(MarqueeError, match=r"model\.tar\.gz .* holds export/net\.mar"):
        build(project, ScriptSource(outside, "x"))
    for name in ("cat", "dog"):
        make_folder(tmp_path / "two" / name, scripts.TUPLE)
    with pytest.raises(MarqueeError, match=r"holds cat/, dog/, any of which could be the model"):
        build(project, ScriptSource(tmp_path / "two", "x"))


def test_twins_of_a_mac_are_no_torchscript(tmp_path: Path) -> None:
    (tmp_path / "._net.pth").write_bytes(b"")
    assert not model_folder.has_torchscript(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"")
    assert model_folder.check(tmp_path, None) is None


def test_functions_are_found_however_they_come(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("from other import model_fn\npredict_fn = input_fn = max\n")
    assert model_folder.defined(script) == {"model_fn", "predict_fn", "input_fn"}
    script.write_text("from other import *\n")
    assert model_folder.defined(script) == set(model_folder.FUNCTIONS)


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside.py"),
        member("/outside.py"),
        member("code/../../outside.py"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "../../outside"),
        member("hard", tarfile.LNKTYPE, "../../outside"),
        member("device", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.linkname}",
)
def test_a_tar_that_leads_out_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    path = tar(tmp_path / "model.tar.gz", member("code/inference.py"), bad)
    with pytest.raises(MarqueeError, match=r"model.tar.gz"):
        model_folder.unpack(path, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("outside*"))


def test_a_tar_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    huge = member("model.pt")
    huge.size = 1 << 60
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(huge.tobuf() + bytes(1 << 20)))
    with pytest.raises(MarqueeError, match="unpacks to more than"):
        model_folder.unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    claim = member("x", tarfile.XHDTYPE)
    claim.size = 1 << 32
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(claim.tobuf() + bytes(1 << 20)))
    with pytest.raises(MarqueeError, match=r"model\.tar\.gz .* claims 4294967296 bytes"):
        model_folder.unpack(path, tmp_path / "out")


def test_damaged_tars_are_told(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    for content in (b"", b"no tar", tar(path, member("x")).read_bytes()[:60]):
        path.write_bytes(content)
        with pytest.raises(MarqueeError, match="cannot be unpacked"):
            model_folder.unpack(path, tmp_path / "out")


def wanted(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return path


def test_requirements_that_are_met(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("pillow\n")
    requirements.check(
        wanted(
            tmp_path,
            "# a comment\n\n--index-url https://example.org\nnumpy>=1  # why\n-r more.txt\n"
            f"torch=={torch.__version__.partition('+')[0]}\nabsent; python_version < '3'\n",
        )
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "no-such-package==3\n",
            r"no-such-package is not installed.*pip install no-such-package==3",
        ),
        ("numpy<1\n", r"numpy is .*, not <1.*pip install 'numpy<1'"),
        ("numpy\n???\n", r"line 2: '\?\?\?' cannot be checked"),
        ("-r gone.txt\n", "gone.txt is no file"),
    ],
)
def test_requirements_that_are_not_met(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        requirements.check(wanted(tmp_path, text))


def test_requirements_can_be_skipped(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.TUPLE)
    (folder / "code" / "requirements.txt").write_text("no-such-package\n")
    source = ScriptSource(folder, "skips", skip_requirements=True, stack="always", batch_size=3)
    with pytest.raises(MarqueeError, match="not installed"):
        build(project, ScriptSource(folder, "skips"))
    config = config_in(build(project, source).path)
    assert config["batchSize"] == 3
    assert config["marquee"] == {"options": {"stack": "always"}, "version": "1.0"}
