"""Files and settings of operators, broken: weights, archives, model folders, configuration."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save as save_safetensors

from bench.fuzz_edits import BYTES, JSON, TEXT, Edit, in_gzip, in_tar, in_zip
from bench.fuzz_kind import Kind
from bench.fuzz_requests import encoded
from handlers.rotifer.cfg import ConfigError
from handlers.rotifer.model import load_network as load_darknet
from handlers.rotifer.pack import PackError, inputs
from handlers.runtime.settings import Settings, SettingsError
from handlers.runtime.weights import WeightsError, read_state
from handlers.smoke.pack import KerasError, read_keras
from handlers.timetravel.checkpoint import load_network as load_ageing
from marquee import properties
from marquee.archives import configuration, golden, inspection, model_folder, reader, safety
from marquee.archives.manifest import MANIFEST
from marquee.cli.errors import reported
from marquee.container import variables
from marquee.front import settings as front
from marquee.project import Project
from tests.handlers.timetravel.support import content, tiny
from tests.support import GOLDEN, ROOT

# What a command says in a sentence; a SettingsError is said by a worker as it loads.
REFUSALS = (click.ClickException, SettingsError)
CFG = b"""[net]
width=32
height=32
channels=3
# a comment
[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[shortcut]
from=-2
activation=linear

[upsample]
stride=2
[route]
layers=-1,-4
[convolutional]
filters=7
size=1
activation=linear
[yolo]
mask = 0
anchors = 10,14, 23,27
classes=2
num=2
nms_kind=greedynms
"""
PROPERTIES = ROOT / "config.properties"
OVERRIDES = b"""TS_INFERENCE_ADDRESS=http://127.0.0.1:8080
TS_MAX_REQUEST_SIZE=1000
TS_GRPC_INFERENCE_PORT=7070
TS_CORS_ALLOWED_ORIGIN=*
"""
NUMBERS = 4 * (4 + 27) + 7 + 7 * 8

_names = count()


@cache
def folder() -> Path:
    """Return a folder for the files that are read, which goes when the process ends."""
    made = tempfile.TemporaryDirectory(prefix="mq-fuzz-")
    _kept.append(made)
    return Path(made.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def told(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a reader whose errors are told as those of any command."""

    def read_bytes(data: bytes) -> None:
        with reported():
            read(data)

    return read_bytes


def in_file(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """Return a reader of bytes that puts them into a file, of another name each time."""

    def read_bytes(data: bytes) -> None:
        path = folder() / f"{next(_names)}{suffix}"
        path.write_bytes(data)
        try:
            read(path)
        finally:
            path.unlink()

    return read_bytes


def _cfg(path: Path) -> None:
    load_darknet(path, _weights())


@cache
def _weights() -> Path:
    path = folder() / "net.weights"
    path.write_bytes(_darknet_weights()[0])
    return path


@cache
def _sound_cfg() -> Path:
    path = folder() / "net.cfg"
    path.write_bytes(CFG)
    return path


def _darknet_weights() -> Sequence[bytes]:
    numbers = np.linspace(0.1, 1, NUMBERS, dtype="<f4").tobytes()
    head = np.array([0, 2, 5, 0, 0], "<i4").tobytes()
    old = np.array([0, 1, 0, 0], "<i4").tobytes()
    return head + numbers, old + numbers


def _darknet(path: Path) -> None:
    load_darknet(_sound_cfg(), path)


def _datas() -> Sequence[bytes]:
    return (GOLDEN / "rotifer" / "rotifer.data").read_bytes(), b"names = net.names\n"


def _named(path: Path) -> None:
    """Find the files beside the weights by what the .data file says."""
    for name in ("net.weights", "net.cfg", "net.names"):
        (path / name).touch()
    inputs(path / "net.weights")


def _in_folder(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    def read_bytes(data: bytes) -> None:
        inside = folder() / f"{next(_names)}"
        inside.mkdir()
        (inside / name).write_bytes(data)
        try:
            read(inside)
        finally:
            shutil.rmtree(inside)

    return read_bytes


def _keras() -> Sequence[bytes]:
    """Return the original's file with all arrays packed, so that most bytes are its structure."""
    import h5py  # noqa: PLC0415 - of an extra

    stream = io.BytesIO()
    with h5py.File(GOLDEN / "smoke" / "smoke_unet.h5") as old, h5py.File(stream, "w") as new:
        root = old.get("model_weights", old)
        new.attrs["layer_names"] = root.attrs["layer_names"]
        for layer, group in root.items():
            made = new.create_group(layer)
            made.attrs["weight_names"] = group.attrs["weight_names"]
            for name in group.attrs["weight_names"]:
                array = np.zeros_like(group[name][()])
                made.create_dataset(name, data=array, compression="gzip")
    return (stream.getvalue(),)


def _states() -> Sequence[bytes]:
    state = {"conv.weight": torch.ones(2, 3, 3), "conv.bias": torch.zeros(2)}
    nested = {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3, "best": 0.5}
    made = [save_safetensors(state, {"format": "pt"})]
    for value in (state, nested, {"model": nested, "opts": {"a": [1, None, True]}}):
        for new in (True, False):
            stream = io.BytesIO()
            torch.save(value, stream, _use_new_zipfile_serialization=new)
            made.append(stream.getvalue())
    return made


def _ageing() -> Sequence[bytes]:
    stream = io.BytesIO()
    torch.save(content(tiny()), stream)
    return (stream.getvalue(),)


def _archive_files() -> Mapping[str, bytes]:
    model = {
        "modelName": "net",
        "modelVersion": "2.0",
        "handler": "handler.py",
        "serializedFile": "net.pth",
        "configFile": "model-config.yaml",
    }
    manifest = {"runtime": "python", "model": model, "archiverVersion": "0.12.0"}
    asked = {
        "name": "a as application/json",
        "headers": {"Accept": "application/json"},
        "body": "example.png",
        "status": 200,
        "content_type": "application/json",
        "expected": "golden/0.json",
        "tolerance": 1e-4,
    }
    return {
        MANIFEST: json.dumps(manifest).encode(),
        "handler.py": b"def handle(data, context):\n    return data\n",
        "model-config.yaml": (ROOT / "handlers/cifar/model-config.yaml").read_bytes(),
        "net.pth": bytes(300),
        "example.png": encoded("PNG"),
        "golden/requests.json": json.dumps({"requests": [asked]}).encode(),
        "golden/0.json": b'{"label": "ship", "probabilities": {"ship": 0.5}}',
    }


def _mars() -> Sequence[bytes]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, text in _archive_files().items():
                archive.writestr(name, text)
        made.append(stream.getvalue())
    return made


def _tar(files: Mapping[str, bytes], mode: str = "w:gz", kind: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=kind) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return stream.getvalue()


def _archive_tars() -> Sequence[bytes]:
    inside = {f"net/{name}": text for name, text in _archive_files().items()}
    return _tar(inside), _tar(inside, kind=tarfile.GNU_FORMAT)


def _model_tars() -> Sequence[bytes]:
    files = {
        "code/inference.py": b"def model_fn(model_dir):\n    return None\n",
        "code/requirements.txt": b"numpy\n",
        "model.pth": bytes(100),
    }
    packed = {f"model/{name}": text for name, text in files.items()}
    return _tar(files), _tar(packed, kind=tarfile.GNU_FORMAT), gzip.compress(_tar(files, "w:"))


def _look_into(path: Path) -> None:
    reader.read(path)
    reader.config(path)
    inspection.inspect(path)
    golden.requests_of(path)


def _unpack(path: Path) -> None:
    reader.read(path)
    reader.config(path)
    target = path.with_suffix(".unpacked")
    try:
        safety.unpack_tar(path, target)
    except reader.DAMAGE:
        pass  # only what can be read is unpacked by anybody: its caller says what is wrong
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _model_folder(path: Path) -> None:
    scratch = path.with_suffix(".unpacked")
    try:
        model_folder.read(path, None, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@cache
def _project() -> Project:
    root = folder() / "project"
    (root / "config").mkdir(parents=True)
    shutil.copy(PROPERTIES, root)
    return Project(root)


def _front(data: bytes) -> None:
    (_project().root / "config" / front.FILE_NAME).write_bytes(data)
    front.read(_project())


def _fronts() -> Sequence[bytes]:
    own = (ROOT / "config" / front.FILE_NAME).read_bytes()
    return (
        own,
        b"request_timeout: 60\nprobe_interval: 2.5\nsticky_header: X-User\n"
        b"allowed_origins: [https://a.example, 'http://b.example:3000']\ndefault_model: cifar\n",
        b"allowed_origins: '*'\ntls_certificate: null\ndrain_timeout: 5\nkeep_alive_timeout: 1\n",
    )


def environment(data: bytes) -> None:
    """Read lines NAME=VALUE as the environment of the container."""
    environ = _environ(data)
    for _ in variables.warnings(environ):
        pass
    variables.read(environ)


def _environ(data: bytes) -> dict[str, str]:
    lines = data.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _overriding(data: bytes) -> None:
    """Read lines NAME=VALUE as an environment that overrides a project's configuration."""
    properties.read(_project().config_file, _environ(data))


def _environments() -> Sequence[bytes]:
    names = variables.fields_of_variables()
    values = ("1", "8080", "true", "/opt/ml/x", "https://a.example", "1-2", "none", "application/x")
    lines = [f"{name}={values[i % len(values)]}" for i, name in enumerate(names)]
    # In small groups, since reading ends at the first that is wrong.
    return ["\n".join(lines[at : at + 3]).encode() for at in range(0, len(lines), 3)]


def _property_file(path: Path) -> None:
    properties.read(path, {})


def _configuration(data: bytes) -> None:
    Settings.from_yaml(configuration.read(data, "model-config.yaml", Path("net.mar")))


def _configurations() -> Sequence[bytes]:
    rooms = ("cifar", "inkwash", "rotifer", "smoke", "timetravel")
    texts = [(ROOT / "handlers" / room / "model-config.yaml").read_text() for room in rooms]
    # A line of the room's, which its archives do not have.
    return [re.sub(r"(?m)^  curl:.*\n", "", text).encode() for text in texts]


PICKLES: Mapping[str, tuple[Edit, ...]] = {"data.pkl": BYTES, "version": TEXT}
TEXTS: Mapping[str, tuple[Edit, ...]] = {".json": JSON, ".yaml": TEXT, ".py": TEXT}
IN_ZIP = (in_zip(TEXTS),) * 6
IN_PICKLES = (*BYTES, in_zip(PICKLES), in_zip(PICKLES))
IN_TAR = (in_tar(TEXTS), in_tar(TEXTS), *map(in_gzip, BYTES))
DARKNET = (ConfigError, WeightsError)


def _told(
    name: str,
    seeds: Callable[[], Sequence[bytes]],
    edits: Sequence[Edit],
    read: Callable[[bytes], object],
) -> Kind:
    """Return a kind that commands read, and say what is wrong with it."""
    return Kind(name, seeds, edits, told(read), REFUSALS)


KINDS = (
    Kind("cfg", lambda: (CFG,), TEXT, in_file(".cfg", _cfg), DARKNET),
    Kind("weights", _darknet_weights, BYTES, in_file(".weights", _darknet), DARKNET),
    Kind("data", _datas, TEXT, told(_in_folder("net.data", _named)), (PackError, *REFUSALS)),
    Kind("keras", _keras, BYTES, in_file(".h5", read_keras), (KerasError,)),
    Kind("state", _states, IN_PICKLES, in_file(".pth", read_state), (WeightsError,)),
    Kind("checkpoint", _ageing, IN_PICKLES, in_file(".pt", load_ageing), (WeightsError,)),
    _told("mar", _mars, (*BYTES, *IN_ZIP), in_file(".mar", _look_into)),
    _told("mar-tar", _archive_tars, (*BYTES, *IN_TAR), in_file(".tar.gz", _unpack)),
    _told("model-tar", _model_tars, (*BYTES, *IN_TAR), in_file(".tar.gz", _model_folder)),
    _told("front", _fronts, TEXT, _front),
    _told("environment", _environments, TEXT, environment),
    _told("overrides", lambda: (OVERRIDES,), TEXT, _overriding),
    _told("properties", lambda: (PROPERTIES.read_bytes(),), TEXT, in_file("", _property_file)),
    _told("config", _configurations, TEXT, _configuration),
)
