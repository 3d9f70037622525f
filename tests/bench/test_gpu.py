"""The GPU check: all of it small on a CPU, what it makes of findings, what it may import."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import gpu, gpu_original, gpu_table
from bench.gpu_bundle import MOST_BYTES, bundle, stored
from bench.gpu_faults import findings
from bench.gpu_measure import Ceilings, Work, work_of
from tests.handlers.timetravel.support import tiny
from tests.support import ROOT

pytest.importorskip("h5py", reason="the bundle converts Keras' weights")

# The serialized file of each archive, and what else its room's demo folder has for it.
FILES = {
    "cifar": ["lenet.pth"],
    "smoke": ["smoke.pth"],
    "rotifer": ["rotifer.weights", "rotifer.cfg", "rotifer.data", "rotifer.names"],
    "inkwash": ["latest_net_G.pth"],
    "timetravel": ["timetravel_demo.pt"],
}
# On a bare machine there is no more; the archives bring handlers along.
BARE = {"torch", "torchvision", "PIL", "numpy", "handlers", "bench", "tests"}


def unpacked(model: str, folder: Path) -> Path:
    """Lay an archive out as it is unpacked, without building it."""
    room, folder = ROOT / "handlers" / model, folder / f"{model}-1.0"
    unwanted = shutil.ignore_patterns("__pycache__", "demo", "pack.py")
    shutil.copytree(ROOT / "handlers" / "runtime", folder / "handlers" / "runtime", ignore=unwanted)
    shutil.copytree(room, folder / "handlers" / model, ignore=unwanted)
    (folder / "handlers" / "__init__.py").touch()
    for name in ("handler.py", "model-config.yaml", *(p.name for p in room.glob("example.*"))):
        shutil.copyfile(room / name, folder / name)
    for name in FILES[model]:
        shutil.copyfile(room / "demo" / name, folder / name)
    (folder / "MAR-INF").mkdir()
    manifest = {"model": {"serializedFile": FILES[model][0], "modelName": model}}
    (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    config = (folder / "model-config.yaml").read_text()
    (folder / "model-config.yaml").write_text(config.replace("  curl:", "  golden:"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be carried to a GPU machine."""
    target, sources = tmp_path_factory.mktemp("carried") / "gpu-check", tmp_path_factory.mktemp("a")
    size = bundle([unpacked(model, sources) for model in FILES], target)
    assert size < MOST_BYTES
    return target


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the check as on a bare machine: nothing of this clone can be imported."""
    environment = {**os.environ, "PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "bench.gpu", "--out", "out", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_whole_check_small_on_a_cpu(folder: Path) -> None:
    done = run(folder, "--device", "cpu", "--quick", "--seconds", "2000")
    assert done.returncode == 0, done.stdout + done.stderr
    table = (folder / "out" / "gpu-check.md").read_text()
    assert table.startswith("# GPU check: a CPU")
    assert table.strip() in done.stdout
    found = json.loads((folder / "out" / "gpu-check.json").read_text())["findings"]
    checks = [one for one in found if one["kind"] == "check"]
    assert len(checks) == len(FILES) - 1 + 5  # all but timetravel's 1.3 GB, and the faults
    assert not any(one["failed"] for one in checks)
    exact = [one for one in found if one["kind"] == "agreement" and one["precision"] == "fp32"]
    assert {one["model"].split()[0] for one in exact} == set(FILES) - {"timetravel"}
    assert {one["model"] for one in found if one["kind"] == "speed"} == set(FILES)
    assert {one["model"] for one in found if one["kind"] == "against"} == {"inkwash", "timetravel"}
    assert [one["why"] for one in found if one["kind"] == "impossible"] == []


@pytest.mark.slow
def test_without_a_gpu_it_says_so(folder: Path) -> None:
    done = run(folder, "--out", "of-none")
    assert done.returncode == 2
    assert "No GPU check: PyTorch" in done.stderr
    assert "finds no GPU" in done.stderr
    assert not (folder / "of-none" / "gpu-check.json").exists()


def test_time_that_is_over_is_said(tmp_path: Path) -> None:
    late = gpu.Run(tmp_path, tmp_path, "cpu", quick=True, deadline=0.0)
    assert late.step("parity", "cifar", "cifar")[0][0]["why"] == "no time left"


def test_a_step_that_fails_is_wrong(tmp_path: Path) -> None:
    far = time.monotonic() + 600
    failing = gpu.Run(tmp_path, tmp_path, "cpu", quick=True, deadline=far)
    failing.parity("cifar")
    (wrong,) = gpu_table.failures(failing.findings)
    assert wrong.startswith("parity cifar: FileNotFoundError: ")
    assert "MANIFEST.json" in wrong


def lines(sizes: list[int], **statuses: list[int]) -> list[dict[str, Any]]:
    found = [
        {"kind": "statuses", "what": w.replace("_", " "), "found": f} for w, f in statuses.items()
    ]
    return [*found, *({"kind": "batch", "size": size} for size in sizes)]


def test_faults_are_judged_by_what_became_of_them() -> None:
    ended = lines([], before=[200], at_the_assert=[503, 503])
    assert all(right for *_, right in findings(ended, 1, "assert"))
    assert [right for *_, right in findings(ended, 0, "assert")] == [True, False]
    assert [right for *_, right in findings(lines([]), 1, "assert")] == [False, True]
    healed = lines([1, 8, 4, 2, 2, 4, 2, 2], one_that_does_not_fit=[507], afterwards=[200, 200])
    healed.append({"kind": "statuses", "what": "eight, two fit", "found": [200] * 8})
    assert all(right for *_, right in findings(healed, 0, "memory"))
    healed[-1]["found"] = [200] * 7 + [500]
    assert [right for *_, right in findings(healed, 0, "memory")] == [False, True, True]


def test_tables_mark_what_is_wrong() -> None:
    common = {"kind": "agreement", "model": "m", "what": "pixels", "limit": 1}
    wrong = [
        {**common, "precision": "fp32", "found": 3.0, "failed": True},
        {**common, "precision": "fp16", "found": 9.0, "failed": False, "limit": None},
    ]
    about = {"name": "Card", "when": "today", "versions": "some", "seconds": 1}
    text = gpu_table.tables(about, wrong)
    assert "| m | pixels | 1 | **3** |  |  | 9 |" in text
    assert gpu_table.failures(wrong) == ["m pixels: 3.0"]


def test_the_originals_loop_gives_what_ours_gives() -> None:
    network, face, ages = tiny(), torch.rand(1, 3, 32, 32) * 2 - 1, [10, 80]
    with torch.inference_mode():
        found = torch.stack(gpu_original.show_ages(network, face, ages))
        pictures = network(face.expand(2, -1, -1, -1), torch.tensor(ages, dtype=torch.float32))
    wanted = (((pictures + 1) / 2).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)
    assert (found.int() - wanted.int()).abs().max() <= 1


def test_work_is_counted() -> None:
    a, b = torch.rand(8, 16), torch.rand(16, 4)
    work = work_of(lambda: a @ b)
    assert work == Work(flops=2 * 8 * 16 * 4, bytes=4 * (8 * 16 + 16 * 4 + 8 * 4))
    ceilings = Ceilings({"fp32": 2048.0}, copy=1792.0, upload_pinned=1.0, upload_paged=1.0)
    assert ceilings.share(work, seconds=1.0, precision="fp32") == (0.5, 0.5)


def test_archives_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "cifar-1.0.mar").touch()
    with pytest.raises(SystemExit, match="no archive of smoke, rotifer, inkwash, timetravel"):
        stored(tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "bench").glob("gpu*.py")), ids=lambda p: p.stem)
def test_the_check_runs_on_a_bare_machine(path: Path) -> None:
    if path.stem == "gpu_bundle":  # made where everything is
        return
    allowed = BARE | set(sys.stdlib_module_names)
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= allowed
        assert not {name for name in names if name.startswith("tests.") and name != "tests.golden"}
