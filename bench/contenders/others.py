"""The servers that are not TorchServe, each started as its own documents have it."""

from __future__ import annotations

import json

from bench.contenders.start import Asked, Setting, Start, as_form
from bench.install import python_of
from tests.support import free_ports


def fastapi(setting: Setting) -> Start:
    """Uvicorn with two processes."""
    (port,) = free_ports(1)
    return Start(
        command=[
            *(python_of("servers"), "-m", "uvicorn", "bench.contenders.fastapi_app:app"),
            *("--workers", "2", "--port", str(port), "--no-access-log"),
        ],
        folder=setting.own_folder("fastapi"),
        environment=setting.environment(),
        port=port,
    )


def flask(setting: Setting) -> Start:
    """Gunicorn with two processes."""
    (port,) = free_ports(1)
    return Start(
        command=[
            *(python_of("servers"), "-m", "gunicorn", "bench.contenders.flask_app:app"),
            # A worker that was frozen would be taken for one that hangs.
            *("--workers", "2", "--bind", f"127.0.0.1:{port}", "--timeout", "0"),
        ],
        folder=setting.own_folder("flask"),
        environment=setting.environment(),
        port=port,
    )


def litserve(setting: Setting) -> Start:
    """One process for HTTP, one for the network."""
    (port,) = free_ports(1)
    return Start(
        command=[python_of("servers"), "-m", "bench.contenders.litserve_server", str(port)],
        folder=setting.own_folder("litserve"),
        environment=setting.environment(),
        port=port,
        wrapped=as_form,
    )


def bentoml(setting: Setting) -> Start:
    """`bentoml serve`."""
    (port,) = free_ports(1)
    home = setting.own_folder("bentoml/home")
    return Start(
        command=[
            *(python_of("servers"), "-m", "bentoml", "serve"),
            *("bench.contenders.bentoml_service:service", "--port", str(port)),
        ],
        folder=setting.own_folder("bentoml"),
        environment=setting.environment(BENTOML_HOME=str(home), BENTOML_DO_NOT_TRACK="True"),
        port=port,
        wrapped=as_form,
    )


def as_tensor(body: bytes) -> Asked:
    """Send the file as KServe's protocol has bytes: a description, then length and bytes."""
    tensor = len(body).to_bytes(4, "little") + body
    size = {"parameters": {"binary_data_size": len(tensor)}}
    shape = {"name": "picture", "shape": [1, 1], "datatype": "BYTES"}
    head = json.dumps({"inputs": [shape | size]}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return Asked(head + tensor, headers)


def pytriton(setting: Setting) -> Start:
    """Triton, and the process with the network."""
    ports = free_ports(3)
    home = setting.own_folder("pytriton/home")
    return Start(
        command=[python_of("pytriton"), "-m", "bench.contenders.pytriton_server", *map(str, ports)],
        folder=setting.own_folder("pytriton"),
        environment=setting.environment(PYTRITON_HOME=str(home)),
        port=ports[0],
        path="/v2/models/cifar/infer",
        wrapped=as_tensor,
        frozen=False,  # Triton takes a frozen process for a dead one
    )
