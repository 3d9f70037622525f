"""Archives in the store: as they are, with the environment's settings, and of scripts."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from marquee.archives import reader, trust
from marquee.archives.listing import Archive
from marquee.container import contents, serve, workspace
from marquee.container.modelstore import ModelStore, StoredModel, merged
from marquee.container.variables import ContainerSettings, read
from marquee.errors import MarqueeError
from marquee.project import Project
from tests.handlers.script import scripts
from tests.handlers.script.harness import make_folder
from tests.marquee.archives import odd
from tests.marquee.archives.signing import key_pair


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return workspace.make(ContainerSettings(), {**os.environ, "TEMP": str(tmp_path / "temp")})


def add(project: Project, source: Path, name: str | None = None, **wanted: Any) -> StoredModel:
    """Put an archive into the store."""
    archive = Archive(source, reader.read(source))
    return ModelStore(project, ContainerSettings(**wanted)).add_archive(archive, name)


def filled(project: Project, folder: Path, name: str) -> list[tuple[str, str]]:
    """Serve a model folder under a name that the environment gives."""
    environ = {"MARQUEE_MODEL_DIR": str(folder), "MARQUEE_MODEL_NAME": name}
    return [(model.name, model.version) for model in serve.fill(project, read(environ))]


def add_script(project: Project, folder: Path, **wanted: Any) -> StoredModel:
    """Put a script into the store."""
    settings = ContainerSettings(**wanted)
    found = contents.find(folder, settings.program, settings.code_dir)
    assert found.script is not None
    return ModelStore(project, settings).add_script(found.script)


def make_archive(path: Path, config: dict[str, Any] | None = None, name: str = "cat") -> Path:
    model = {"modelName": name, "modelVersion": "2.0", "handler": "handler.py"}
    if config is not None:
        model["configFile"] = "model-config.yaml"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model}))
        archive.writestr("handler.py", "class Handler: pass")
        if config is not None:
            archive.writestr("model-config.yaml", yaml.safe_dump(config))
    return path


def config_of(folder: Path) -> Any:
    return yaml.safe_load((folder / "model-config.yaml").read_text())


def test_an_archive_is_linked_to(project: Project, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.mar")
    stored = add(project, path)
    assert (stored.name, stored.version) == ("cat", "2.0")
    assert stored.path.resolve() == path.resolve()


def test_the_environment_wins_over_the_archive(project: Project, tmp_path: Path) -> None:
    config = {"batchSize": 32, "minWorkers": 1, "maxWorkers": 1, "marquee": {"precision": "fp32"}}
    path = make_archive(tmp_path / "a.mar", config)
    before = path.read_bytes()
    settings = read(
        {
            "SAGEMAKER_TS_BATCH_SIZE": "4",
            "SAGEMAKER_TS_MAX_BATCH_DELAY": "0",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
            "SAGEMAKER_TS_RESPONSE_TIMEOUT": "77",
        }
    )
    stored = ModelStore(project, settings).add_archive(Archive(path, reader.read(path)))
    assert stored.response_timeout == 77
    assert config_of(stored.path) == {
        "batchSize": 4,
        "maxBatchDelay": 1,
        "minWorkers": 2,
        "maxWorkers": 2,
        "responseTimeout": 77,
        "marquee": {"precision": "fp32"},
    }
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("own", "wanted", "workers"),
    [
        ({"minWorkers": 2, "maxWorkers": 2}, {"maxWorkers": 1}, (1, 1)),
        ({"minWorkers": 1, "maxWorkers": 1}, {"minWorkers": 3}, (3, 3)),
        ({"minWorkers": 1, "maxWorkers": 4}, {"minWorkers": 2}, (2, 4)),
        ({}, {"batchSize": 2}, (1, 1)),
    ],
)
def test_workers_stay_in_order(
    own: dict[str, int], wanted: dict[str, int], workers: tuple[int, int]
) -> None:
    config = merged(own, wanted)
    assert (config["minWorkers"], config["maxWorkers"]) == workers


def test_an_archive_without_configuration_gets_one(project: Project, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.mar")
    stored = add(project, path, batch_size=3)
    assert config_of(stored.path)["batchSize"] == 3
    manifest = json.loads((stored.path / "MAR-INF" / "MANIFEST.json").read_text())
    assert manifest["model"]["configFile"] == "model-config.yaml"


def test_another_name(project: Project, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.mar")
    stored = add(project, path, "dog")
    manifest = json.loads((stored.path / "MAR-INF" / "MANIFEST.json").read_text())
    assert (stored.name, manifest["model"]["modelName"]) == ("dog", "dog")


def test_an_unpacked_archive_is_changed_in_a_copy(project: Project, tmp_path: Path) -> None:
    with zipfile.ZipFile(make_archive(tmp_path / "a.mar", {"batchSize": 1})) as archive:
        archive.extractall(tmp_path / "open")
    stored = add(project, tmp_path / "open", batch_size=9)
    assert config_of(stored.path)["batchSize"] == 9
    assert config_of(tmp_path / "open")["batchSize"] == 1
    assert (stored.path / "handler.py").read_text() == "class Handler: pass"


def test_the_users_own_configuration_is_never_written_to(project: Project, tmp_path: Path) -> None:
    for number, file in enumerate(("own.yaml", "conf/own.yaml")):
        source = odd.folder(tmp_path / str(number), odd.model(modelName="n", configFile=file))
        (source / file).parent.mkdir(exist_ok=True)
        (source / file).write_text("batchSize: 3\n")
        before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
        stored = add(project, source, f"n{number}", max_workers=2)
        manifest = json.loads((stored.path / "MAR-INF" / "MANIFEST.json").read_text())
        config = yaml.safe_load((stored.path / manifest["model"]["configFile"]).read_text())
        assert (config["batchSize"], config["maxWorkers"]) == (3, 2)
        assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_a_tar_is_linked_to_or_unpacked_as_torchserve_does(
    project: Project, tmp_path: Path
) -> None:
    path = odd.tar(tmp_path / "n.tgz", odd.model(modelVersion=None, configFile="model-config.yaml"))
    stored = add(project, path)
    assert (stored.name, stored.version, stored.path.name) == ("net", "1.0", "net-1.0.tgz")
    with pytest.raises(MarqueeError, match="so is another model"):
        add(project, path, batch_size=5)
    other = add(project, path, "other", batch_size=5)
    assert config_of(other.path)["batchSize"] == 5
    assert (other.path / "handler.py").read_bytes() == odd.HANDLER


@pytest.mark.parametrize("text", ["a: [", "- 1", "x", "", "\0"])
def test_a_configuration_that_is_none_is_told(project: Project, tmp_path: Path, text: str) -> None:
    source = odd.folder(tmp_path / "n", odd.model(configFile="model-config.yaml"))
    (source / "model-config.yaml").write_text(text)
    for size in (None, 5):
        with pytest.raises(MarqueeError, match=r"'model-config\.yaml' (is no YAML|cannot be read)"):
            add(project, source, batch_size=size)
    assert list(project.model_store.iterdir()) == []


def test_an_archive_that_is_not_safe_is_not_unpacked(project: Project, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.mar")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../climbs", "out")
    with pytest.raises(MarqueeError, match=r"'\.\./\.\./climbs' leads out"):
        add(project, path, batch_size=5)


def test_an_archive_for_which_there_is_no_room_is_told(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_archive(tmp_path / "a.mar")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(MarqueeError, match=r"0 MB free; give the container more room in /tmp"):
        add(project, path, batch_size=5)
    assert list(project.model_store.iterdir()) == []


def test_the_same_model_twice_is_refused(project: Project, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_archive(tmp_path / f"{name}.mar")
    add(project, tmp_path / "a.mar")
    with pytest.raises(MarqueeError, match=r"b\.mar is cat 2\.0, and so is another"):
        add(project, tmp_path / "b.mar")


def test_a_damaged_archive_leaves_nothing_behind(project: Project, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.mar", {"batchSize": 1})
    path.write_bytes(path.read_bytes().replace(b"class Handler", b"class Xandler", 1))
    with pytest.raises(MarqueeError, match="cannot be unpacked"):
        add(project, path, batch_size=3)
    assert list(project.model_store.iterdir()) == []


def test_a_script_is_linked_to_and_not_copied(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.HOOKS, labels__json=b"[]")
    stored = add_script(project, folder, response_timeout=33)
    assert (stored.name, stored.version) == ("model", "1.0")
    assert (stored.path / "sagemaker").resolve() == folder.resolve()
    assert (stored.path / "handlers" / "script" / "handler.py").is_file()
    assert sorted(path.name for path in (stored.path / "handlers").iterdir()) == [
        "__init__.py",
        "runtime",
        "script",
    ]
    config = config_of(stored.path)
    assert (config["batchSize"], config["responseTimeout"]) == (1, 33)
    assert stored.response_timeout == 33


def test_archives_do_not_become_part_of_the_script(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.HOOKS)
    make_archive(folder / "a.mar")
    stored = add_script(project, folder)
    assert sorted(path.name for path in (stored.path / "sagemaker").iterdir()) == ["code"]


def test_code_from_another_folder(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", scripts.HOOKS, weights__bin=b"w")
    code = make_folder(tmp_path / "n", scripts.TALKER) / "code"
    stored = add_script(project, folder, code_dir=code)
    inside = stored.path / "sagemaker"
    assert (inside / "code").resolve() == code.resolve()
    assert (inside / "weights.bin").read_bytes() == b"w"


def test_a_script_that_is_no_model_leaves_nothing_behind(project: Project, tmp_path: Path) -> None:
    (tmp_path / "m" / "code").mkdir(parents=True)
    (tmp_path / "m" / "code" / "inference.py").write_text("x = 1\n")
    with pytest.raises(MarqueeError, match="no model folder.*SAGEMAKER_PROGRAM") as caught:
        add_script(project, tmp_path / "m")
    assert str(caught.value).startswith(f"{tmp_path / 'm'} ")
    assert list(project.model_store.iterdir()) == []


def test_kserves_name_for_the_only_model(project: Project, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    source = make_archive(tmp_path / "models" / "any.mar", {"minWorkers": 1})
    assert filled(project, tmp_path / "models", "my-cat") == [("my-cat", "2.0")]
    stored = project.model_store / "my-cat-2.0.mar"
    assert reader.read(stored).name == "my-cat"
    # The name that it has already: linked to as it is.
    assert filled(project, tmp_path / "models", "cat") == [("cat", "2.0")]
    assert (project.model_store / "cat-2.0.mar").readlink() == source
    make_archive(tmp_path / "models" / "other.mar", {"minWorkers": 1}, "dog")
    with pytest.raises(MarqueeError, match=r"holds several models \(cat, dog\)"):
        filled(project, tmp_path / "models", "my-cat")


def test_kserves_name_for_a_script(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "models", scripts.CODED)
    assert filled(project, folder, "my-script") == [("my-script", "1.0")]


@pytest.fixture
def signer(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "keys").mkdir()
    return key_pair(tmp_path / "keys")


@pytest.mark.parametrize("wanted", [{}, {"batch_size": 4}])
@pytest.mark.parametrize("name", [None, "dog"])
def test_a_signed_archive_lies_in_the_store_as_it_was_checked(
    project: Project,
    tmp_path: Path,
    signer: tuple[Path, Path],
    wanted: dict[str, Any],
    name: str | None,
) -> None:
    source = make_archive(tmp_path / "cat.mar", {"batchSize": 2})
    trust.sign(source, signer[0])
    stored = add(project, source, name, trusted_keys=(signer[1],), **wanted)
    source.write_bytes(b"something else by now")
    assert not stored.path.is_symlink()
    manifest = reader.read(stored.path)
    assert (manifest.name, manifest.version) == (name or "cat", "2.0")
    assert reader.config(stored.path)["batchSize"] == wanted.get("batch_size", 2)


def test_an_archive_that_nobody_trusted_signed_is_refused(
    project: Project, tmp_path: Path, signer: tuple[Path, Path]
) -> None:
    source = make_archive(tmp_path / "cat.mar")
    with pytest.raises(MarqueeError, match="cat.mar is not signed"):
        add(project, source, trusted_keys=(signer[1],))
    (tmp_path / "others").mkdir()
    trust.sign(source, key_pair(tmp_path / "others")[0])
    with pytest.raises(MarqueeError, match="is signed with the key"):
        add(project, source, trusted_keys=(signer[1],))
    assert [*project.model_store.iterdir()] == []


def test_an_archive_that_changes_while_it_is_taken_is_refused(
    project: Project, tmp_path: Path, signer: tuple[Path, Path]
) -> None:
    """What was read of it first counts for nothing: another one, signed as well, came instead."""
    source = make_archive(tmp_path / "cat.mar")
    first = Archive(source, reader.read(source))
    make_archive(source, name="dog")
    trust.sign(source, signer[0])
    store = ModelStore(project, ContainerSettings(trusted_keys=(signer[1],)))
    with pytest.raises(MarqueeError, match="changed while it was read"):
        store.add_archive(first)
    assert [*project.model_store.iterdir()] == []


def test_a_script_is_refused_where_only_signed_archives_may_run(
    project: Project, tmp_path: Path, signer: tuple[Path, Path]
) -> None:
    folder = make_folder(tmp_path / "model", scripts.HOOKS)
    with pytest.raises(MarqueeError, match="make an archive of it"):
        add_script(project, folder, trusted_keys=(signer[1],))
