"""Golden requests: in every archive, of that archive, and telling networks apart, not devices."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from handlers.cifar.handler import CifarHandler
from handlers.inkwash.handler import InkwashHandler
from handlers.runtime import VisionHandler
from handlers.runtime.weights import read_state
from marquee.archives import golden, trial
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.handlers.loading import answers, load, prediction
from tests.support import make_project, marquee

pytestmark = pytest.mark.slow

MODELS: dict[str, tuple[type[VisionHandler], str]] = {
    "cifar-1.0": (CifarHandler, "cifar/demo/lenet.pth"),
    "cifar-2.0": (CifarHandler, "cifar/demo/vgg11.pth"),
    "inkwash-1.0": (InkwashHandler, "inkwash/demo/latest_net_G.pth"),
}


def problems(archive: Path, handler: VisionHandler) -> list[str | None]:
    """Ask a loaded handler an archive's golden requests."""
    requests = golden.read(archive)
    assert requests
    found = []
    for one in requests:
        (answer,) = answers(handler, prediction(one.body, **one.headers))
        found.append(one.problem(answer.status, answer.content_type, answer.body))
    return found


@pytest.fixture(params=MODELS)
def archive_of(
    request: pytest.FixtureRequest, project: Project
) -> tuple[Path, type[VisionHandler], Path]:
    handler, weights = MODELS[request.param]
    return project.model_store / f"{request.param}.mar", handler, project.handlers / weights


@pytest.mark.parametrize(
    "settings", [{}, {"precision": "bf16"}, {"threads": 2}], ids=["same", "bf16", "two threads"]
)
def test_other_settings_pass(
    archive_of: tuple[Path, type[VisionHandler], Path], settings: dict[str, object]
) -> None:
    archive, handler, weights = archive_of
    assert problems(archive, load(handler(), weights, marquee=settings)) == [None] * len(
        golden.read(archive)
    )


def noisy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Half as much noise as signal in every weight."""
    torch.manual_seed(0)
    return {k: v + 0.5 * v.std(correction=0) * torch.randn(v.shape) for k, v in state.items()}


def untrained(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same numbers in other places."""
    torch.manual_seed(0)
    return {k: v.flatten()[torch.randperm(v.numel())].view(v.shape) for k, v in state.items()}


@pytest.mark.parametrize("change", [noisy, untrained], ids=lambda change: change.__name__)
def test_another_network_does_not(
    archive_of: tuple[Path, type[VisionHandler], Path],
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    tmp_path: Path,
) -> None:
    archive, handler, weights = archive_of
    floats = {k: v.float() for k, v in read_state(weights).items()}
    torch.save(change(floats), tmp_path / "wrong.pth")
    assert any(problems(archive, load(handler(), tmp_path / "wrong.pth")))


def test_each_version_has_its_own(project: Project) -> None:
    lenet = load(CifarHandler(), project.handlers / MODELS["cifar-1.0"][1])
    assert any(problems(project.model_store / "cifar-2.0.mar", lenet))


def test_what_is_kept(project: Project) -> None:
    cifar = golden.read(project.model_store / "cifar-2.0.mar")
    assert [one.name for one in cifar] == [
        "example.png as application/json",
        "example.png as application/x-npy",
    ]
    assert cifar[0].headers == {"Content-Type": "image/png", "Accept": "application/json"}
    assert cifar[0].body == (project.handlers / "cifar" / "example.png").read_bytes()
    inkwash = golden.read(project.model_store / "inkwash-1.0.mar")
    # As lists in JSON the painting would be a megabyte.
    assert {one.content_type for one in inkwash} == {"image/jpeg", "image/png", "application/x-npy"}
    assert all(len(one.expected) < 300_000 for one in inkwash)


def test_wrong_statuses_and_types_are_told(project: Project) -> None:
    one = golden.read(project.model_store / "cifar-2.0.mar")[0]
    assert one.problem(200, "application/json; charset=utf-8", one.expected) is None
    assert "answered with 503, expected 200: busy" in str(one.problem(503, "text/plain", b"busy"))
    assert "the answer is text/html" in str(one.problem(200, "text/html", one.expected))


def project_with(folder: Path, setting: str = "precision: fp32") -> Project:
    """Make a project with one version of cifar and a setting in its model-config.yaml."""
    project = make_project(folder, "cifar")
    path = project.handlers / "cifar" / "model-config.yaml"
    text = path.read_text().replace('    "1.0":\n      weights: [lenet.pth]\n', "")
    path.write_text(text.replace("  precision: fp32\n", f"  {setting}\n"))
    return project


def test_the_tolerance_is_a_setting(tmp_path: Path) -> None:
    project = project_with(tmp_path / "project", "golden: {tolerance: 0.01}")
    assert marquee(project, "archive").returncode == 0
    (asked, as_array) = golden.read(project.model_store / "cifar-2.0.mar")
    assert asked.tolerance == 0.01
    assert 0.1 < as_array.tolerance < 1  # of logits over a range of some tens


@pytest.mark.parametrize(
    ("text", "value"),
    [("{tolerance: 7}", "tolerance is 7"), ("{tolerance: yes}", "is True"), ("{x: 1}", "'x': 1")],
)
def test_a_tolerance_that_makes_no_sense(text: str, value: str) -> None:
    config = yaml.safe_load(f"marquee:\n  golden: {text}\n")
    with pytest.raises(ValueError, match=rf"marquee\.golden.*{value}.*expected"):
        trial.tolerance(config)


NOISY = """
from handlers.runtime import JSON, NPY, Request, Result
from handlers.cifar.handler import CifarHandler as Base
import time


class Noisy:
    def initialize(self, context):
        self.base = Base()
        self.base.produces = (NPY, JSON)
        whole = self.base.postprocess
        def postprocess(output, request):
            said = whole(output, request)
            return Result(json={"time": time.time_ns()}, array=said.array)
        self.base.postprocess = postprocess
        self.base.initialize(context)

    produces = (NPY, JSON)

    def handle(self, rows, context):
        return self.base.handle(rows, context)
"""


def test_answers_that_are_never_the_same_are_left_out(tmp_path: Path) -> None:
    project = project_with(tmp_path / "project")
    room = project.handlers / "cifar"
    (room / "base.py").write_text((room / "handler.py").read_text())
    (room / "handler.py").write_text(NOISY.replace("cifar.handler", "cifar.base"))
    done = marquee(project, "archive")
    assert done.returncode == 0, done.stderr
    requests = golden.read(project.model_store / "cifar-2.0.mar")
    assert [one.content_type for one in requests] == ["application/x-npy"]


def test_archives_without_have_none(tmp_path: Path) -> None:
    path = tmp_path / "x.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", "{}")
    assert golden.read(path) == []
    path.write_bytes(b"no zip")
    assert golden.read(path) == []
    with pytest.raises(MarqueeError, match="there is no archive"):
        golden.read(tmp_path / "absent.mar")


def test_unpacked_archives_have_theirs(project: Project, tmp_path: Path) -> None:
    packed = project.model_store / "cifar-2.0.mar"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "cifar")
    assert golden.read(tmp_path / "cifar") == golden.read(packed)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "golden/../../secret"])
def test_a_request_out_of_an_unpacked_archive_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("s")
    entry = golden.GoldenEntry("x", {}, name, 200, "text/plain", name, 0.1)
    index = tmp_path / "x" / golden.INDEX
    index.parent.mkdir(parents=True)
    index.write_text(golden.index_text([entry]))
    for read in (golden.read, golden.example_of):
        with pytest.raises(MarqueeError, match="leads out of the archive"):
            read(tmp_path / "x")


@pytest.mark.parametrize(
    "index",
    ["{", "[]", '{"requests": [{}]}', '{"requests": [{"name": "x"}]}', '{"requests": 7}'],
)
def test_damaged_golden_requests_are_told(tmp_path: Path, index: str) -> None:
    path = tmp_path / "x.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(golden.INDEX, index)
    with pytest.raises(MarqueeError, match="golden requests in .* cannot be read"):
        golden.read(path)


def test_a_body_that_is_not_there_is_told(tmp_path: Path) -> None:
    entry = golden.GoldenEntry("x", {}, "absent.png", 200, "application/json", "golden/1.json", 0.1)
    path = tmp_path / "x.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(golden.INDEX, golden.index_text([entry]))
    assert json.loads(golden.index_text([entry]))["requests"][0]["name"] == "x"
    with pytest.raises(MarqueeError, match=r"absent\.png"):
        golden.read(path)
