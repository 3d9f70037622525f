"""The operator's side of a server on Ray, in the process of ``marquee ray serve``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from marquee.files import write_private
from marquee.front import rayserver
from marquee.project import Project
from marquee.ray import keys
from marquee.ray.keeper import Keeper
from marquee.ray.management import Api, guarded, listening
from marquee.ray.registry import Registry


@contextmanager
def operated(project: Project, registry: Registry) -> Iterator[Keeper]:
    """Let the commands work in the block: the management address, and what looks after the models.

    Raises:
        MarqueeError: the management address cannot be listened at.
    """
    rayserver.folder_of(project).mkdir(mode=0o700, parents=True, exist_ok=True)
    keeper = Keeper(project)
    model_api = project.properties.get("enable_model_api", "false").lower() == "true"
    application = guarded(Api(registry, keeper, model_api), keys.digest(project, "management"))
    with listening(project.properties["management_address"], application):
        write_private(rayserver.pid_file(project), str(os.getpid()))
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.end()
            rayserver.pid_file(project).unlink(missing_ok=True)
