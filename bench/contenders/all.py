"""All contenders, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contenders import others, ours, torchserve
from bench.contenders.start import Setting, Start


@dataclass(frozen=True)
class Contender:
    """A row of the table.

    Attributes:
        title: as the table has it.
        start: prepares its folder and says how it is started; None for the limit.
    """

    title: str
    start: Callable[[Setting], Start] | None


CONTENDERS = {
    "limit": Contender("no server: same network and decode, 1 thread", None),
    "marquee": Contender("**marquee**", ours.plain),
    "front": Contender("**marquee --front**", ours.behind_the_door),
    "bare": Contender("bare TorchServe handler, 1 thread", torchserve.bare),
    "stock": Contender("TorchServe's stock handler", torchserve.stock),
    "sagemaker": Contender("SageMaker toolkit", torchserve.sagemaker),
    "litserve": Contender("LitServe", others.litserve),
    "bentoml": Contender("BentoML, 2 workers", others.bentoml),
    "fastapi": Contender("FastAPI, 2 processes", others.fastapi),
    "flask": Contender("Flask, 2 processes", others.flask),
    "pytriton": Contender("PyTriton", others.pytriton),
}
