"""The project that the container makes for itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from marquee import properties
from marquee.container import memory, workspace
from marquee.container.inherited import inherited
from marquee.container.modelstore import StoredModel
from marquee.container.serve import front_settings as front
from marquee.container.variables import ContainerSettings
from marquee.errors import MarqueeError
from marquee.project import Project

Make = Callable[[ContainerSettings], Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that makes a project below the test's folder."""
    return lambda settings: workspace.make(settings, {"TEMP": str(tmp_path)})


def test_a_fresh_project_each_time(make: Make, tmp_path: Path) -> None:
    project = make(ContainerSettings())
    assert project.root == tmp_path / "marquee"
    assert project.root.stat().st_mode & 0o777 == 0o700
    (project.model_store / "old.mar").write_text("")
    assert list(make(ContainerSettings()).model_store.iterdir()) == []
    assert (project.handlers / "script" / "handler.py").is_file()
    assert not (project.handlers / "inkwash").exists()


def test_the_configuration_has_the_settings(make: Make) -> None:
    settings = ContainerSettings(safe_ports=(8080, 8085), max_payload_mb=2, java_options="-Dx=y")
    project = make(settings)
    found = properties.read(project.root / "config.properties", {})
    assert found["metrics_address"] == "http://127.0.0.1:8081"
    assert (found["grpc_inference_port"], found["grpc_management_port"]) == ("8082", "8083")
    assert found["max_request_size"] == str(2 << 20)
    assert found["max_response_size"] == str(100 << 20)
    assert found["vmargs"].endswith("-Dx=y")
    assert found["load_models"] == "all"


@pytest.mark.parametrize(("given", "most"), [(200, 200), (0, 2000)])
def test_large_payloads_count_for_answers_and_0_is_no_limit(
    make: Make, given: int, most: int
) -> None:
    """Batch transform hands MaxPayloadInMB on, of which 0 means that there is no limit."""
    found = make(ContainerSettings(max_payload_mb=given)).properties
    assert found["max_request_size"] == found["max_response_size"] == str(most << 20)


@pytest.mark.parametrize("options", ["-Da=b\\\\c", "-Da=\u20ac:!#", "-Da=b \\", "-Da=b\\u0041"])
def test_what_is_written_is_what_was_meant(make: Make, options: str) -> None:
    project = make(ContainerSettings(java_options=options))
    assert project.properties["vmargs"].endswith(f" {options}")


def test_a_safe_range_that_is_too_narrow_is_refused() -> None:
    with pytest.raises(MarqueeError, match="8080-8082; expected room for three ports beside 8080"):
        workspace.inner_ports(ContainerSettings(safe_ports=(8080, 8082)))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MarqueeError, match="--tmpfs /tmp"):
        workspace.make(ContainerSettings(), {"TEMP": str(tmp_path / "file")})


def test_the_server_inherits_what_the_container_lets_it(make: Make, tmp_path: Path) -> None:
    project = workspace.make(
        ContainerSettings(requirements="r.txt"), {"TEMP": str(tmp_path), "A": "b"}
    )
    assert project.environ["A"] == "b"
    assert project.temp == project.root / "temp"
    assert project.logs == project.root / "logs"
    assert project.environ["PYTHONPATH"].startswith(f"{project.root}/packages/")
    assert "PYTHONPATH" not in make(ContainerSettings()).environ


def test_the_heap_is_a_quarter_of_a_small_container(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "V2", tmp_path)
    (tmp_path / "memory.max").write_text(f"{4 << 30}\n")
    project = make(ContainerSettings())
    vmargs = properties.read(project.root / "config.properties", {})["vmargs"]
    assert vmargs.startswith("-Xmx1024m ")


@pytest.mark.parametrize(
    ("environment", "added"),
    [
        ({}, {}),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, {}),
        ({"CUDA_VISIBLE_DEVICES": ""}, {"TS_NUMBER_OF_GPU": "0"}),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, {"TS_NUMBER_OF_GPU": "0"}),
        ({"CUDA_VISIBLE_DEVICES": "", "TS_NUMBER_OF_GPU": "1"}, {}),
    ],
)
def test_devices_are_counted_rightly(environment: dict[str, str], added: dict[str, str]) -> None:
    assert inherited(environment) == {**environment, **added}


def test_devices_named_by_identifier_are_refused() -> None:
    with pytest.raises(MarqueeError, match="GPU-3f.*understands numbers only"):
        inherited({"CUDA_VISIBLE_DEVICES": "GPU-3f"})


def test_rotifers_old_clients_get_their_pong(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = ContainerSettings()
    # A name that is short, as the door's sockets need it.
    project = workspace.make(settings, {"TEMP": str(tmp_path_factory.mktemp("pong"))})
    project.temp.mkdir(exist_ok=True, parents=True)
    alone = [StoredModel("rotifer", "1.0", project.model_store)]
    with_others = [*alone, StoredModel("cifar", "1.0", project.model_store)]
    assert front(project, settings, alone).ping_fields == {"data": "pong!"}
    assert front(project, settings, with_others).ping_fields == {}
    chosen = ContainerSettings(default_model="rotifer")
    assert front(project, chosen, with_others).ping_fields == {"data": "pong!"}
    # And pages of all origins may ask it, as they could.
    assert front(project, settings, alone).allowed_origins == ("*",)
    assert front(project, settings, with_others).allowed_origins == ()
    told = ContainerSettings(allowed_origins=("https://pages.example",))
    assert front(project, told, alone).allowed_origins == ("https://pages.example",)
    assert front(project, ContainerSettings(allowed_origins=()), alone).allowed_origins == ()


def test_memory_that_is_left_in_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "V2", tmp_path)
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 200\n")
    assert memory.available() == 500
    assert memory.limit() == 1000


def test_memory_without_a_limit_is_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "V1", tmp_path)
    monkeypatch.setattr(memory, "V2", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() > 1 << 28
    assert memory.limit() > 1 << 28
