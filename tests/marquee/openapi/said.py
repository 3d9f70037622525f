"""What handlers say of themselves, without their networks."""

from __future__ import annotations

import json
from typing import Any

from handlers.cifar.handler import CifarHandler
from handlers.inkwash.handler import InkwashHandler
from handlers.rotifer.handler import RotiferHandler
from handlers.runtime import VisionHandler
from handlers.runtime.request import Interface
from handlers.smoke.handler import SmokeHandler
from handlers.timetravel.handler import TimetravelHandler
from marquee.openapi.served import Offer, Served

ROOMS: dict[str, type[VisionHandler]] = {
    "cifar": CifarHandler,
    "inkwash": InkwashHandler,
    "rotifer": RotiferHandler,
    "smoke": SmokeHandler,
    "timetravel": TimetravelHandler,
}
SCRIPT = {"script": ["model_fn"], "stacked": [], "consumes": ["application/json", "text/csv"]}


def said(handler: type[VisionHandler]) -> dict[str, Any]:
    """Return a handler's description, as JSON carries it."""
    offer = Interface(
        handler.consumes, handler.produces, handler.parameters, answers=handler.answers
    )
    explained = offer.extended(
        handler.explain_produces, handler.explain_parameters, handler.explain_answers
    )
    explains = handler.explain is not VisionHandler.explain
    described = {
        "consumes": list(handler.consumes),
        **offer.offer(),
        "explanations": explained.offer() if explains else None,
        "shows": handler.shows,
        "limits": {"max_pixels": offer.max_pixels, "max_items": offer.max_items},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def everything(*, front: bool = True, secured: bool = True) -> Served:
    """Return a server with our models, a script and a handler of somebody else's."""
    offers = [
        Offer(name, version, version == "1.0", said(handler))
        for name, handler in ROOMS.items()
        for version in ("1.0", "2.0")
    ]
    offers += [Offer("halves", "1.0", True, SCRIPT), Offer("foreign", "1.0", True, {})]
    return Served(tuple(offers), front=front, secured=secured, max_request_size=1000)
