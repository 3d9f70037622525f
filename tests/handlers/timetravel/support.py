"""What timetravel's tests share: small networks, and the handler without a server."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from handlers.runtime.exchange import Answer, Exchange
from handlers.timetravel.align import Floats
from handlers.timetravel.decoder import DecoderSizes
from handlers.timetravel.encoder import EncoderSizes
from handlers.timetravel.handler import TimetravelHandler
from handlers.timetravel.model import AgeingNetwork, Sizes
from tests.golden import synth
from tests.support import GOLDEN as ALL_GOLDEN
from tests.support import ROOT

GOLDEN = ALL_GOLDEN / "timetravel"
DEMO = ROOT / "handlers" / "timetravel" / "demo" / "timetravel_demo.pt"
EXAMPLE = ROOT / "handlers" / "timetravel" / "example.png"
CROPPED = {"X-Marquee-Align": "false"}

Pixels = NDArray[np.uint8]

make_state: Callable[..., dict[str, Tensor]] = synth.make_state
make_array: Callable[..., Floats] = synth.array


class Context:
    """As much of TorchServe's context as loading needs."""

    model_name = "timetravel"
    metrics: Any = None

    def __init__(self, weights: Path, settings: Mapping[str, Any]) -> None:
        self.manifest: Mapping[str, Any] | None = {"model": {"serializedFile": weights.name}}
        self.model_yaml_config: Mapping[str, Any] | None = {"marquee": {"threads": 1, **settings}}
        self.system_properties: Mapping[str, Any] = {
            "model_dir": str(weights.parent),
            "batch_size": 4,
        }

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        raise AssertionError("the tests bring their own headers")

    def get_request_id(self, idx: int = 0) -> str | None:
        raise AssertionError("the tests bring their own ids")

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        raise AssertionError("the tests look at the answers themselves")

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        raise AssertionError("the tests look at the answers themselves")


def serve(weights: Path, **settings: Any) -> TimetravelHandler:
    """Return the handler, loaded as a worker does; on one thread, as the networks are tiny."""
    handler = TimetravelHandler()
    handler.initialize(Context(weights, settings))
    return handler


def ask(handler: TimetravelHandler, body: bytes, **headers: str) -> Answer:
    """Send one request; underscores in header names are hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    exchange = Exchange({"body": body}, sent)
    handler.answer([exchange])
    assert exchange.answer is not None
    return exchange.answer


def message(answer: Answer, status: int) -> str:
    """Return an error's message, of an answer that must have this status."""
    assert answer.status == status, answer.body[:300]
    said = json.loads(answer.body)
    assert said["code"] == status
    text: str = said["message"]
    return text


def tiles(answer: Answer, side: int) -> list[Pixels]:
    """Cut a strip in .npy form as its clients do."""
    assert answer.status == 200, answer.body[:300]
    strip = np.load(io.BytesIO(answer.body), allow_pickle=False)
    assert strip.dtype == np.uint8
    assert strip.shape[0] == side
    assert strip.shape[1] % side == 0
    return [strip[:, left : left + side] for left in range(0, strip.shape[1], side)]


def png(image: Image.Image) -> bytes:
    """Return a picture's PNG file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures in dB."""
    assert a.shape == b.shape
    error = np.square(a.astype(np.float64) - b.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def tiny(start: str = "encoded") -> AgeingNetwork:
    """Return a network of 16 x 16 pictures, with an average style and noise that shows."""
    torch.manual_seed(4)
    decoder = DecoderSizes(8, channels=(8, 8, 4), mapping_layers=1)

    def encoder(channels: int) -> EncoderSizes:
        return EncoderSizes(channels, 32, (4, 6, 8, 8 + 2), (1, 2, 1, 1), decoder.styles, 8)

    network = AgeingNetwork(Sizes(encoder(4), decoder, encoder(3), start)).eval()
    network.latent_avg = torch.randn(decoder.styles, 8)
    for name, parameter in network.named_parameters():
        if name.endswith("noise.weight"):
            torch.nn.init.constant_(parameter, 0.1)
    return network


def content(network: AgeingNetwork, **opts: Any) -> dict[str, Any]:
    """Return what the published file would hold for ``network``."""
    state: dict[str, Tensor] = dict(network.state_dict())
    options = {"start_from_encoded_w_plus": True, "start_from_latent_avg": False} | opts
    return {"state_dict": state, "latent_avg": network.latent_avg, "opts": options}


def write_small_checkpoint(path: Path) -> None:
    """Write the small reference network as the original project publishes its own (1.3 GB)."""
    average = torch.from_numpy(make_array("latent_avg", [10, 512]))
    shapes = json.loads((GOLDEN / "small_state_dict.json").read_text())
    opts = {"output_size": 64, "input_nc": 4, "device": "cuda:0", "checkpoint_path": None}
    opts |= {"start_from_latent_avg": False, "start_from_encoded_w_plus": True}
    state = make_state(shapes, torch=True)
    torch.save({"state_dict": state, "latent_avg": average, "opts": opts}, path)
