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
    from marquee.asking.predict import explain, predict
    from marquee.conformance.check import check
    from marquee.errors import MarqueeError
    from marquee.front.canary import begin as canary
    from marquee.front.canary import promote, withdraw
    from marquee.project import Project
    from marquee.serving.logs import logs
    from marquee.serving.models import models
    from marquee.serving.status import status
    from marquee.swapping.history import read as history
    from marquee.swapping.swap import rollback, swap
    from marquee.swapping.versions import register, retire, scale

__all__ = [
    "MarqueeError",
    "Project",
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
    "withdraw",
]

# Imported when they are asked for: a command that needs few of them starts in less time.
_PLACES = {
    "MarqueeError": ("marquee.errors", "MarqueeError"),
    "Project": ("marquee.project", "Project"),
    "canary": ("marquee.front.canary", "begin"),
    "check": ("marquee.conformance.check", "check"),
    "explain": ("marquee.asking.predict", "explain"),
    "history": ("marquee.swapping.history", "read"),
    "logs": ("marquee.serving.logs", "logs"),
    "models": ("marquee.serving.models", "models"),
    "predict": ("marquee.asking.predict", "predict"),
    "promote": ("marquee.front.canary", "promote"),
    "register": ("marquee.swapping.versions", "register"),
    "retire": ("marquee.swapping.versions", "retire"),
    "rollback": ("marquee.swapping.swap", "rollback"),
    "scale": ("marquee.swapping.versions", "scale"),
    "status": ("marquee.serving.status", "status"),
    "swap": ("marquee.swapping.swap", "swap"),
    "withdraw": ("marquee.front.canary", "withdraw"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'marquee' has no attribute {name!r}")
    module, function = _PLACES[name]
    return getattr(importlib.import_module(module), function)
