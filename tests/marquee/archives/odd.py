"""Archives as other people have them, and as nobody should: made in a moment, never loaded."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from marquee.archives.manifest import MANIFEST

HANDLER = b"def handle(data, context):\n    return [bytes(row['body']) for row in data or []]\n"
CONFIG = b"minWorkers: 1\nmaxWorkers: 1\n"
MODEL = {"modelName": "net", "modelVersion": "2.0", "handler": "handler.py"}


def model(**changed: Any) -> dict[str, Any]:
    """Return a manifest; None takes a key of its model away."""
    section = {key: value for key, value in (MODEL | changed).items() if value is not None}
    return {"runtime": "python", "model": section}


def text_of(manifest: Any) -> bytes:
    return manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()


def files_of(manifest: Any, top: str = "") -> dict[str, bytes]:
    files = {MANIFEST: text_of(manifest), "handler.py": HANDLER, "model-config.yaml": CONFIG}
    return {f"{top}{name}": content for name, content in files.items()}


def mar(path: Path, manifest: Any, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files_of(manifest, top).items():
            archive.writestr(name, content)
    return path


def tar(path: Path, manifest: Any, top: str = "net/", **more: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (files_of(manifest, top) | more).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return path


def folder(path: Path, manifest: Any) -> Path:
    for name, content in files_of(manifest).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path
