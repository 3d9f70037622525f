"""What is in a pack, what is refused, and that its module hands on requests as TorchServe does."""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from marquee.archives.trial import environment
from marquee.errors import MarqueeError
from marquee.project import Project
from marquee.ray import config, packed
from marquee.ray.pack import SOURCE, pack
from marquee.ray.spec import VersionSpec
from tests.ray.packs import unpack
from tests.support import ROOT, marquee

pytestmark = pytest.mark.slow


def archive(path: Path, handler: str, manifest: dict[str, Any] | None = None) -> Path:
    """Write an archive with one module."""
    model = {"modelName": "tiny", "modelVersion": "1.0", "handler": "handler.py"}
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model | (manifest or {})}))
        made.writestr("handler.py", handler)
        made.writestr("requirements.txt", "einops\n")
    return path


def test_a_pack_has_a_configuration_a_module_and_the_archive(
    small_project: Project, tmp_path: Path
) -> None:
    output = tmp_path / "model.tar.gz"
    done = marquee(small_project, "ray", "pack", "cifar", "-o", str(output))
    assert done.returncode == 0, done.stderr
    folder = unpack(output, tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "marquee_deployment.py",
        "archive",
    }
    assert (folder / "marquee_deployment.py").read_bytes() == SOURCE.read_bytes()
    with zipfile.ZipFile(small_project.model_store / "cifar-2.0.mar") as whole:
        for name in whole.namelist():
            assert (folder / "archive" / name).read_bytes() == whole.read(name)


def test_the_same_archive_gives_the_same_bytes(tmp_path: Path) -> None:
    source = archive(tmp_path / "tiny.mar", "def handle(data, context): return data\n")
    digests = {
        pack(Project(ROOT), str(source), output=tmp_path / name).sha256
        for name in ("a.tar.gz", "b.tar.gz")
    }
    assert len(digests) == 1


def test_requirements_lie_where_the_container_installs_them_from(tmp_path: Path) -> None:
    source = archive(tmp_path / "tiny.mar", "", {"requirementsFile": "requirements.txt"})
    output = pack(Project(ROOT), str(source), output=tmp_path / "model.tar.gz").path
    with tarfile.open(output) as made:
        assert "code/requirements.txt" in made.getnames()


@pytest.mark.parametrize(
    ("handler", "manifest", "said"),
    [
        ("from ts.torch_handler.base_handler import BaseHandler\n", {}, "imports TorchServe's"),
        ("", {"handler": "image_classifier"}, "image_classifier is TorchServe's own"),
    ],
)
def test_a_handler_that_needs_torchserve_is_refused(
    handler: str, manifest: dict[str, Any], said: str, tmp_path: Path
) -> None:
    source = archive(tmp_path / "tiny.mar", handler, manifest)
    with pytest.raises(MarqueeError, match=said):
        pack(Project(ROOT), str(source), output=tmp_path / "model.tar.gz")
    assert not (tmp_path / "model.tar.gz").exists()


def test_a_version_is_of_a_projects_model_only(small_project: Project, tmp_path: Path) -> None:
    source = archive(tmp_path / "tiny.mar", "")
    with pytest.raises(MarqueeError, match="leave it away"):
        pack(small_project, str(source), "2.0")
    with pytest.raises(MarqueeError, match=r"no version '7.0'"):
        pack(small_project, "cifar", "7.0")


def test_the_configuration_is_one_that_serve_takes() -> None:
    from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415 - seconds

    spec = VersionSpec(
        *("cifar", "2.0", "cifar-2.0.mar", "", ""),
        max_workers=3,
        batch_size=8,
        max_batch_delay=0.0,
        gpus=0.5,
    )
    made = yaml.safe_load(config.text(config.application(spec), config.LOCAL))
    (application,) = ServeDeploySchema.model_validate(made).applications
    (deployment,) = application.deployments
    assert deployment.ray_actor_options.num_gpus == 0.5
    assert made["applications"][0]["deployments"][0]["autoscaling_config"]["max_replicas"] == 3
    assert deployment.user_config == {
        "batchSize": 8,
        "maxBatchDelay": 0,
        "responseTimeout": 120,
    }


def test_the_module_imports_nothing_that_the_container_lacks() -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    assert names - sys.stdlib_module_names == {"ray", "starlette", "yaml"}  # the last two are Ray's


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--y\r\n\r\n--x\r\n"
    b'Content-Disposition: form-data; name="top_k"\r\n\r\n3\r\n--x--\r\n'
)


def test_the_parts_of_a_form_are_told_apart() -> None:
    asked = packed.read({"content-type": "multipart/form-data; boundary=x"}, FORM)
    assert asked.data == {"data": b"\x89PNG\r\n--y\r\n", "top_k": b"3"}
    assert asked.headers["data"] == {"content-type": "image/png"}
    assert asked.headers["top_k"] == {"content-type": None}


def test_the_fields_of_a_web_form_are_told_apart() -> None:
    asked = packed.read({"content-type": "application/x-www-form-urlencoded"}, b"a=1%20b&c=")
    assert asked.data == {"a": b"1 b", "c": b""}


def test_bodies_are_decoded_until_a_handler_refuses_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(packed.DECODE, raising=False)
    kind = {"content-type": "application/json; charset=utf-8"}
    assert packed.read(kind, b'{"a": 1}').data == {"body": {"a": 1}}
    assert packed.read(kind, b"{").data == {"body": b"{"}
    assert packed.read({"content-type": "text/csv"}, b"a,b").data == {"body": "a,b"}
    monkeypatch.setenv(packed.DECODE, "false")
    assert packed.read(kind, b"[1]").data == {"body": b"[1]"}


HANDLER = """
def handle(data, context):
    if data is None:
        return
    said = bytes(data[0]["body"]).decode()
    if said == "tensor":
        import torch
        return [torch.ones(2)]
    if said == "json":
        context.set_response_content_type(0, "application/json")
        return [{"a": [1, None]}]
    if said == "teapot":
        context.set_response_status(code=418, idx=0)
        return [context.get_request_header(0, "x-said")]
    if said == "two":
        return [b"1", b"2"]
    if said == "none":
        return None
    if said == "set":
        return [{1, 2}]
    raise RuntimeError("CUDA error" if said == "cuda" else said)
"""
# Asks the unpacked archive of the working directory one word after the other.
ASKING = """
import json, sys
from pathlib import Path
from marquee.ray import packed

worker = packed.Worker(Path.cwd())
for word in sys.argv[1:]:
    (reply,) = worker.answer([packed.read({"x-said": "tea"}, word.encode())])
    kind = reply.headers.get("content-type", "")
    print(json.dumps([reply.status_code, kind, reply.body.hex()]))
"""


def test_a_foreign_handler_is_answered_as_by_torchserve(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.unpack_archive(archive(tmp_path / "tiny.mar", HANDLER), folder, "zip")
    words = ("json", "teapot", "tensor", "two", "none", "set", "boom", "cuda")
    command = [sys.executable, "-c", ASKING, *words]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    answers = [(status, kind, bytes.fromhex(body)) for status, kind, body in told]
    assert answers[0] == (200, "application/json", b'{\n  "a": [\n    1,\n    null\n  ]\n}')
    assert answers[1] == (418, "", b"tea")
    assert torch.load(io.BytesIO(answers[2][2])).tolist() == [1, 1]
    failures = [json.loads(body) for _, _, body in answers[3:]]
    assert [(one["code"], one["message"]) for one in failures] == [
        (503, "number of batch response mismatched"),
        (503, "Invalid model predict output"),
        (503, "Unsupported model output data type."),
        (503, "Prediction failed"),
        (507, "Out of resources"),
    ]
