"""Archives of cifar that are broken in one way each, and sound otherwise."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from marquee.archives.manifest import MANIFEST

HEAD = """\
import os, time
import torch
from handlers.cifar.sound import CifarHandler

class Broken(CifarHandler):
"""
AT_LOAD = """\
    def initialize(self, context):
        {does}
"""
AT_REQUEST = """\
    def initialize(self, context):
        super().initialize(context)
        self.loaded = True
    def forward(self, batch):
        if getattr(self, "loaded", False):
            {does}
        return super().forward(batch)
"""
# By what it takes at the moment, and enough to be told from noise.
SLOWER = """\
    def forward(self, batch):
        start = time.perf_counter()
        output = super().forward(batch)
        time.sleep(max(0.5, 9 * (time.perf_counter() - start)))
        return output
"""
# How it is broken -> the handler's own code, and what of it the operator is told.
WAYS: Mapping[str, tuple[str, str]] = {
    "raises at load": (
        AT_LOAD.format(does="raise ValueError('the moon is full')"),
        "the moon is full",
    ),
    "out of memory at load": (AT_LOAD.format(does="raise MemoryError('told to')"), "emory"),
    "killed at load": (AT_LOAD.format(does="os.kill(os.getpid(), 9)"), "no traceback"),
    "hangs at load": (AT_LOAD.format(does="time.sleep(3600)"), "has not loaded after"),
    "answers wrongly": (AT_REQUEST.format(does="batch = batch.flip(1)"), "stopped at 'check'"),
    "10x slower": (SLOWER, "too slow"),
    "out of memory at a request": (
        AT_REQUEST.format(does="raise torch.OutOfMemoryError('told to')"),
        "answered with 507",
    ),
    "hangs at a request": (AT_REQUEST.format(does="time.sleep(3600)"), "no answer after"),
}


def variant(source: Path, target: Path, version: str, code: str = "") -> Path:
    """Write an archive like ``source`` under another version, its handler's class overridden."""
    with zipfile.ZipFile(source) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(entries[MANIFEST])
    manifest["model"]["modelVersion"] = version
    manifest.get("marquee", {}).pop("content", None)  # it would not be true any more
    entries[MANIFEST] = json.dumps(manifest).encode()
    if code:
        entries["handlers/cifar/sound.py"] = entries["handler.py"]
        entries["handler.py"] = (HEAD + code).encode()
    with zipfile.ZipFile(target, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)
    return target
