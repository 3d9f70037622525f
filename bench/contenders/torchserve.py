"""Handlers on a plain TorchServe: bare, stock, echo, and SageMaker's toolkit around it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import yaml

from bench.contenders.start import Setting, Start
from bench.install import python_of
from handlers.cifar.model import CLASSES
from tests.support import BIN, ROOT, free_ports

HERE = Path(__file__).parent
# As cifar has it: one worker, batches of what waits for at most a millisecond.
CONFIG = {"minWorkers": 1, "maxWorkers": 1, "batchSize": 32, "maxBatchDelay": 1}
LARGEST_BODY = 2**30 - 1


def addresses(ports: list[int]) -> list[str]:
    """Return the lines of a configuration that give a TorchServe its own ports."""
    inference, management, metrics, grpc, grpc_management = ports
    return [
        f"inference_address=http://127.0.0.1:{inference}",
        f"management_address=http://127.0.0.1:{management}",
        f"metrics_address=http://127.0.0.1:{metrics}",
        f"grpc_inference_port={grpc}",
        f"grpc_management_port={grpc_management}",
    ]


def archive(folder: Path, name: str, *more: str | Path) -> None:
    """Make NAME.mar of NAME_handler.py with TorchServe's own archiver."""
    config = folder / "model-config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    subprocess.run(
        [
            *(BIN / "torch-model-archiver", "--model-name", name, "--version", "1.0", "--force"),
            *("--handler", HERE / f"{name}_handler.py", "--config-file", config),
            *("--export-path", folder, *more),
        ],
        check=True,
    )


def served(setting: Setting, name: str, *others: str) -> Start:
    """Return the start of an archive on a TorchServe of its own, with others of its folder."""
    folder = setting.own_folder(name)
    ports = free_ports(5)
    lines = [*addresses(ports), f"max_request_size={LARGEST_BODY}"]
    (folder / "config.properties").write_text("\n".join(lines) + "\n")
    temporary = setting.own_folder(f"{name}/t")
    return Start(
        command=[
            *(BIN / "torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth"),
            *("--model-store", ".", "--models", *(f"{one}={one}.mar" for one in (name, *others))),
            *("--ts-config", "config.properties"),
        ],
        folder=folder,
        environment=setting.environment(TEMP=str(temporary), TMPDIR=str(temporary)),
        port=ports[0],
        path=f"/predictions/{name}",
    )


def bare(setting: Setting) -> Start:
    """A handler as short as it can be."""
    archive(setting.own_folder("bare"), "bare")
    return served(setting, "bare")


def echo(setting: Setting) -> Start:
    """A handler that only counts the bytes."""
    archive(setting.own_folder("echo"), "echo")
    return served(setting, "echo")


def stock(setting: Setting) -> Start:
    """TorchServe's image_classifier."""
    folder = setting.own_folder("stock")
    names = folder / "index_to_name.json"
    names.write_text(json.dumps({str(index): name for index, name in enumerate(CLASSES)}))
    archive(folder, "stock", "--model-file", HERE / "stock_model.py", "--extra-files", names)
    return served(setting, "stock")


def sagemaker(setting: Setting) -> Start:
    """SageMaker's PyTorch toolkit: an inference.py in a model folder, a TorchServe of its own."""
    folder = setting.own_folder("sagemaker")
    code = setting.own_folder("sagemaker/base/model/code")
    shutil.copyfile(HERE / "sagemaker_script.py", code / "inference.py")
    ports = free_ports(5)
    temporary = setting.own_folder("sagemaker/t")
    python = python_of("servers")
    environment = setting.environment(
        TEMP=str(temporary),
        TMPDIR=str(temporary),
        SAGEMAKER_BASE_DIR=str(folder / "base"),
        SAGEMAKER_BIND_TO_PORT=str(ports[0]),
        # Its containers have one interpreter; TorchServe's workers need the toolkit's packages.
        PYTHONPATH=f"{ROOT}:{next(python.parents[1].glob('lib/python*/site-packages'))}",
    )
    lines = [line for line in addresses(ports) if not line.startswith("inference")]
    return Start(
        command=[python, "-m", "bench.contenders.sagemaker_start", *lines],
        folder=folder,
        environment=environment,
        port=ports[0],
        path="/invocations",
    )
