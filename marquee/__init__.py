"""The operator's side: build archives, run TorchServe. Handlers never import this.

Each operating command of ``marquee`` is a function of the same name here, with the project first::

    import marquee

    project = marquee.Project.find()
    record = marquee.swap(project, "cifar", "1.0")

All raise :class:`MarqueeError` with the sentence that the command line prints.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marquee.bulk.batch import batch
    from marquee.client.predict import explain, predict
    from marquee.conformance.check import check
    from marquee.errors import MarqueeError
    from marquee.project import Project
    from marquee.serving.status import status
    from marquee.torchserve.logs import logs
    from marquee.torchserve.models import models
    from marquee.tuning.tune import tune
    from marquee.versions.canary import begin as canary
    from marquee.versions.canary import withdraw
    from marquee.versions.history import read as history
    from marquee.versions.operate import register, retire, scale
    from marquee.versions.swap import promote, rollback, swap

__all__ = [
    "MarqueeError",
    "Project",
    "batch",
    "canary",
    "check",
    "explain",
    "history",
    "logs",
    "models",
    "predict",
    "promote",
    "register",
    "retire",
    "rollback",
    "scale",
    "status",
    "swap",
    "tune",
    "withdraw",
]

# Imported when they are asked for: a command that needs few of them starts in less time.
_PLACES = {
    "MarqueeError": ("marquee.errors", "MarqueeError"),
    "Project": ("marquee.project", "Project"),
    "batch": ("marquee.bulk.batch", "batch"),
    "canary": ("marquee.versions.canary", "begin"),
    "check": ("marquee.conformance.check", "check"),
    "explain": ("marquee.client.predict", "explain"),
    "history": ("marquee.versions.history", "read"),
    "logs": ("marquee.torchserve.logs", "logs"),
    "models": ("marquee.torchserve.models", "models"),
    "predict": ("marquee.client.predict", "predict"),
    "promote": ("marquee.versions.swap", "promote"),
    "register": ("marquee.versions.operate", "register"),
    "retire": ("marquee.versions.operate", "retire"),
    "rollback": ("marquee.versions.swap", "rollback"),
    "scale": ("marquee.versions.operate", "scale"),
    "status": ("marquee.serving.status", "status"),
    "swap": ("marquee.versions.swap", "swap"),
    "tune": ("marquee.tuning.tune", "tune"),
    "withdraw": ("marquee.versions.canary", "withdraw"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'marquee' has no attribute {name!r}")
    module, function = _PLACES[name]
    return getattr(importlib.import_module(module), function)
