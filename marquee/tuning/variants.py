"""Variants of one archive that differ in their model-config.yaml only.

The archive is unpacked once; each variant is a folder of links to it, which TorchServe takes for an
unpacked archive and links to in its turn. So a large network is on the disk once.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import yaml

from marquee.archives import reader, safety
from marquee.archives.manifest import MANIFEST
from marquee.tuning.server import check_room
from marquee.tuning.setting import Setting, configured

SPARE_BYTES = 64 << 20


class Variants:
    """Makes variants of an archive in a model store.

    Args:
        archive: a ``.mar`` of marquee's.
        store: the model store, which nothing else is in.
        aside: a folder to unpack into.

    Attributes:
        config: what the archive's own model-config.yaml says.
        version: of the model.

    Raises:
        MarqueeError: the archive is damaged, or there is no room for it.
    """

    def __init__(self, archive: Path, store: Path, aside: Path) -> None:
        manifest = reader.read(archive)
        self.config: dict[str, Any] = reader.config(archive)
        self.version = manifest.version
        self._manifest, self._store, self._base = manifest.content, store, aside
        with zipfile.ZipFile(archive) as packed:
            safety.check_zip(packed, archive)
            size = sum(entry.file_size for entry in packed.infolist())
            check_room(aside.parent, size + SPARE_BYTES)
            packed.extractall(aside)

    def make(self, name: str, setting: Setting) -> None:
        """Make the folder ``name`` of the store: the archive with this setting."""
        folder = self._store / name
        folder.mkdir()
        own = {reader.CONFIG_NAME, Path(MANIFEST).parts[0]}
        for path in self._base.iterdir():
            if path.name not in own:
                (folder / path.name).symlink_to(path)
        config = configured(self.config, setting)
        (folder / reader.CONFIG_NAME).write_text(yaml.safe_dump(config))
        model = {**self._manifest["model"], "configFile": reader.CONFIG_NAME}
        (folder / MANIFEST).parent.mkdir()
        (folder / MANIFEST).write_text(json.dumps({**self._manifest, "model": model}))
