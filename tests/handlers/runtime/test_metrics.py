import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import ts
import yaml
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

from handlers.runtime import metrics
from handlers.runtime.metrics import (
    BUCKETS,
    STAGE_SECONDS,
    WORKER_MEMORY,
    StageMetrics,
    WorkerMemory,
)
from handlers.runtime.stopwatch import STAGES, Stopwatch, shared_stage
from tests.support import ROOT


def cache(path: str) -> Any:
    made = MetricsCacheYamlImpl(path)
    made.initialize_cache()
    made.model_name = "cifar"
    return made


def observed(caplog: Any, name: str) -> list[str]:
    return [m for m in caplog.messages if m.startswith(f"[METRICS]{name}.")]


def values(caplog: Any, name: str, *labels: str) -> list[float]:
    """What was reported under a name and labels, in order."""
    lines = [line for line in observed(caplog, name) if all(one in line for one in labels)]
    return [float(line.partition(":")[2].partition("|")[0]) for line in lines]


def watch(**seconds: float) -> Stopwatch:
    made = Stopwatch()
    made.seconds.update(seconds)
    return made


@pytest.fixture
def stages(caplog: Any) -> StageMetrics:
    caplog.set_level("INFO")
    return StageMetrics(cache(str(ROOT / "config" / "metrics.yaml")), "cifar")


def test_each_stage_is_reported_as_our_configuration_declares(
    stages: StageMetrics, caplog: Any
) -> None:
    stages.report([watch(model=0.02), watch(model=0.01)], "id")
    for stage in STAGES:
        labels = ("ModelName:cifar", "Level:Model", f"Stage:{stage}")
        assert values(caplog, f"{STAGE_SECONDS}_count", *labels) == [1]
        buckets = values(caplog, f"{STAGE_SECONDS}_bucket", *labels)
        expected = [bound >= 0.03 for bound in BUCKETS] if stage == "model" else [1] * len(BUCKETS)
        assert buckets == expected
    assert values(caplog, f"{STAGE_SECONDS}_sum", "Stage:model") == [0.03]
    assert values(caplog, f"{STAGE_SECONDS}_sum", "Stage:decode") == [0]


def test_what_a_batch_shared_is_counted_once(stages: StageMetrics, caplog: Any) -> None:
    watches = [watch(decode=0.25) for _ in range(4)]
    with shared_stage("model", watches):
        pass
    waited = watches[0].seconds["model"]
    assert all(one.seconds["model"] == waited for one in watches)
    stages.report(watches, "id")
    (told,) = values(caplog, f"{STAGE_SECONDS}_sum", "Stage:model")
    assert told == round(waited, 6)
    assert values(caplog, f"{STAGE_SECONDS}_sum", "Stage:decode") == [1]


def test_batches_are_added_up_between_reports(
    stages: StageMetrics, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "STAGE_INTERVAL", 3600.0)
    stages.report([watch(model=0.5)], "first")
    for _ in range(3):
        stages.report([watch(model=0.25)], "later")
    count = f"{STAGE_SECONDS}_count"
    assert values(caplog, count, "Stage:model") == [1]
    stages._tell()  # as the timer does
    assert values(caplog, count, "Stage:model") == [1, 3]
    assert values(caplog, f"{STAGE_SECONDS}_sum", "Stage:model") == [0.5, 0.75]
    assert values(caplog, f"{STAGE_SECONDS}_bucket", "Stage:model", "le:0.25|") == [0, 3]
    assert observed(caplog, count)[-1].endswith(",later")


def test_the_last_batch_is_told_though_no_other_follows(
    stages: StageMetrics, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "STAGE_INTERVAL", 0.05)
    monkeypatch.setattr(stages, "_next", time.monotonic() + 0.05)
    stages.report([watch(model=0.5)], "id")
    end = time.monotonic() + 60
    while not values(caplog, f"{STAGE_SECONDS}_count", "Stage:model") and time.monotonic() < end:
        time.sleep(0.01)
    assert values(caplog, f"{STAGE_SECONDS}_count", "Stage:model") == [1]


def test_a_server_that_does_not_declare_them_gets_none(tmp_path: Any, caplog: Any) -> None:
    path = tmp_path / "metrics.yaml"
    path.write_text("model_metrics:\n  gauge:\n    - {name: a, unit: ms, dimensions: []}\n")
    StageMetrics(cache(str(path)), "cifar").report([Stopwatch()], "id")
    StageMetrics(None, "cifar").report([Stopwatch()], "id")
    assert not [m for m in caplog.messages if m.startswith("[METRICS]")]


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
        for kind, declared in default[part].items():
            missing = [metric for metric in declared if metric not in ours[part][kind]]
            assert not missing, f"{part} {kind}"
