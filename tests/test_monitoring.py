"""What deploy/monitoring asks Prometheus for is what a running server publishes."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from marquee.cli.main import main
from tests.support import ROOT, Running

FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
QUERIES = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(rule["expr"] for rule in RULES),
]
SELECTOR = re.compile(r"([a-zA-Z_]\w*)\{([^}]*)\}")
# Prometheus' own.
ADDED_LABELS = {"job", "instance", "le"}


@pytest.fixture(scope="module")
def published(server: Running) -> str:
    """The metrics after a prediction and a refusal."""
    example = (ROOT / "handlers" / "cifar" / "example.png").read_bytes()
    with server.client() as client:
        assert client.post("/predictions/cifar", content=example).status_code == 200
        assert client.post("/predictions/cifar", content=b"no image").status_code == 400
    return server.metrics()


def selectors() -> Iterator[tuple[str, set[str]]]:
    for query in QUERIES:
        found = SELECTOR.findall(query)
        assert found, query
        for name, labels in found:
            yield name, set(re.findall(r"(\w+)=", labels)) - ADDED_LABELS


def test_every_metric_exists(published: str) -> None:
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", published, re.MULTILINE))
    histograms = {name for name, kind in types.items() if kind == "histogram"}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    wanted = {name for name, _ in selectors()}
    assert len(wanted) > 10
    assert wanted - {"up"} <= (set(types) - histograms) | parts


def test_every_label_exists(published: str) -> None:
    samples = re.findall(r"^(\w+)\{([^}]*)\}", published, re.MULTILINE)
    labels = {name: set(re.findall(r"(\w+)=", text)) for name, text in samples}
    checked = [(name, wanted) for name, wanted in selectors() if wanted and name in labels]
    assert len(checked) > 5
    for name, wanted in checked:
        assert wanted <= labels[name], name


def test_counters_are_only_looked_at_as_rates(published: str) -> None:
    counters = re.findall(r"^# TYPE (\S+) counter$", published, re.MULTILINE)
    for query in QUERIES:
        for name in counters:
            bare = re.sub(rf"rate\({name}\{{[^}}]*\}}\[[^\]]*\]\)", "", query)
            assert f"{name}{{" not in bare, query


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert {"title", "uid", "time", "templating", "annotations"} <= set(DASHBOARD)
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identities) == len(set(identities))
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(panel)))
        assert used - {"datasource"} <= variables
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))


def test_panels_lie_side_by_side() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])


def test_every_alert_says_how_bad_it_is_and_which_command_helps() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        for command in re.findall(r"\bmarquee ([a-z]+)", rule["annotations"]["description"]):
            assert command in main.commands


def test_the_scrape_example_looks_where_the_metrics_are(server: Running) -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert all(f'job="{job["job_name"]}"' in query for query in QUERIES)
    default = re.search(r"metrics_address=http://(\S+)", (ROOT / "config.properties").read_text())
    assert default is not None
    assert job["static_configs"] == [{"targets": [default[1]]}]
    address = server.environment["TS_METRICS_ADDRESS"]
    assert httpx.get(f"{address}{job['metrics_path']}", trust_env=False).status_code == 200


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) not installed")
def test_prometheus_itself_accepts_the_files_and_the_dashboards_queries(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "1m", "$instance": ".*", "$model": ".*"}
    rules = []
    for number, query in enumerate(QUERIES):
        for name, value in variables.items():
            query = query.replace(name, value)  # noqa: PLW2901
        rules.append({"record": f"query:{number}", "expr": query})
    queries = tmp_path / "queries.yml"
    queries.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    for words in (["config", str(FOLDER / "prometheus.yml")], ["rules", str(queries)]):
        done = subprocess.run(
            ["promtool", "check", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
