from pathlib import Path
from typing import Any

import psutil
import ts
import yaml
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

from handlers.runtime.metrics import STAGE_SECONDS, WORKER_MEMORY, StageMetrics, WorkerMemory
from handlers.runtime.stopwatch import STAGES, Stopwatch
from tests.support import ROOT


def cache(path: str) -> Any:
    made = MetricsCacheYamlImpl(path)
    made.initialize_cache()
    made.model_name = "cifar"
    return made


def observed(caplog: Any, name: str = STAGE_SECONDS) -> list[str]:
    return [m for m in caplog.messages if m.startswith(f"[METRICS]{name}")]


def test_each_stage_is_reported_as_our_configuration_declares(caplog: Any) -> None:
    caplog.set_level("INFO")
    StageMetrics(cache(str(ROOT / "config" / "metrics.yaml")), "cifar").report([Stopwatch()], "id")
    assert len(observed(caplog)) == len(STAGES)
    assert all("ModelName:cifar" in line for line in observed(caplog))


def test_a_server_that_does_not_declare_them_gets_none(tmp_path: Any, caplog: Any) -> None:
    path = tmp_path / "metrics.yaml"
    path.write_text("model_metrics:\n  gauge:\n    - {name: a, unit: ms, dimensions: []}\n")
    StageMetrics(cache(str(path)), "cifar").report([Stopwatch()], "id")
    StageMetrics(None, "cifar").report([Stopwatch()], "id")
    assert observed(caplog) == []


def test_memory_is_reported_once_in_a_while(caplog: Any) -> None:
    caplog.set_level("INFO")
    manifest = {"model": {"modelVersion": "2.0"}}
    memory = WorkerMemory(cache(str(ROOT / "config" / "metrics.yaml")), "cifar", manifest)
    memory.report("id")
    memory.report("id")
    (line,) = observed(caplog, WORKER_MEMORY)
    assert "ModelName:cifar,ModelVersion:2.0" in line
    reported = float(line.partition(".bytes:")[2].partition("|")[0])
    held = psutil.Process().memory_info().rss
    assert abs(reported - held) < 0.2 * held


def test_everything_that_torchserve_publishes_by_default_is_published() -> None:
    ours = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())
    default = yaml.safe_load((Path(ts.__file__).parent / "configs" / "metrics.yaml").read_text())
    for part in ("ts_metrics", "model_metrics"):
        for kind, metrics in default[part].items():
            missing = [metric for metric in metrics if metric not in ours[part][kind]]
            assert not missing, f"{part} {kind}"
