"""The folder that a GPU machine needs for ``bench.gpu``: no network, no TorchServe over there.

    .venv/bin/python -m bench.gpu_bundle build/gpu-check

Takes the archives of the model store (``make archive`` builds them), unpacked, and the reference
vectors. What needs more than PyTorch to be read is read here: YAML, and Keras' weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from bench.gpu import MODELS
from bench.gpu_archive import CONFIG
from handlers.smoke.pack import pack
from tests.support import GOLDEN, ROOT

MOST_BYTES = 64 << 20
BENCH = Path(__file__).parent
# What the check imports of bench/, besides its own files.
OTHERS = ("__init__.py", "ageing_reference.py")
KERAS = "smoke/smoke_unet.h5"


def bundle(archives: Sequence[Path], target: Path) -> int:
    """Fill ``target``, which is emptied before; return its bytes.

    Args:
        archives: a ``.mar`` or an unpacked folder for each model, ``<model>-<version>.mar``.
        target: of the archives, the vectors and the check itself.
    """
    shutil.rmtree(target, ignore_errors=True)
    for archive in archives:
        _unpack(archive, target / "archives" / archive.name.partition("-")[0])
    (target / "bench").mkdir(parents=True, exist_ok=True)
    for source in (*OTHERS, *sorted(path.name for path in BENCH.glob("gpu*.py"))):
        if source != Path(__file__).name:
            shutil.copyfile(BENCH / source, target / "bench" / source)
    golden = target / "tests" / "golden"
    shutil.copytree(GOLDEN, golden, ignore=shutil.ignore_patterns("__pycache__", "*.h5", "align"))
    shutil.copyfile(ROOT / "tests" / "__init__.py", target / "tests" / "__init__.py")
    pack(GOLDEN / KERAS, golden / "smoke").rename(golden / "smoke" / "smoke_unet.pth")
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def _unpack(archive: Path, folder: Path) -> None:
    if archive.is_dir():
        shutil.copytree(archive, folder)
    else:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    config = yaml.safe_load((folder / "model-config.yaml").read_text())
    (folder / CONFIG).write_text(json.dumps(config))


def stored(store: Path) -> list[Path]:
    """Return an archive of each model, of several versions the last by name.

    Raises:
        SystemExit: one is missing.
    """
    found = {model: sorted(store.glob(f"{model}-*.mar")) for model in MODELS}
    absent = [model for model, paths in found.items() if not paths]
    if absent:
        sys.exit(f"{store} has no archive of {', '.join(absent)}; build them: make archive")
    return [paths[-1] for paths in found.values()]


def main() -> None:
    """Make the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--store", type=Path, default=ROOT / "model_store")
    options = parser.parse_args()
    size = bundle(stored(options.store), options.target)
    print(f"{options.target}: {size / 1e6:.1f} MB")  # noqa: T201
    if size > MOST_BYTES:
        sys.exit(f"that is more than {MOST_BYTES / 1e6:.0f} MB; your own weights may be too large")


if __name__ == "__main__":
    main()
