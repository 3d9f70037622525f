"""Face ageing: a photograph in, the face now and at other ages out, side by side."""

import base64
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from handlers.runtime import (
    JPEG,
    JSON,
    NPY,
    PNG,
    Parameter,
    Request,
    Result,
    Unprocessable,
    VisionHandler,
)
from handlers.runtime.answers import choice, file_text, listed, one_or_list, record, whole
from handlers.runtime.arrays import Array
from handlers.runtime.settings import SettingsError
from handlers.timetravel.ageing import AtOnce, show_ages
from handlers.timetravel.align import align
from handlers.timetravel.checkpoint import load_network
from handlers.timetravel.faces import face_finder
from handlers.timetravel.mapped import Span, let_go, mapped_pages
from handlers.timetravel.model import AgeingNetwork

OLDEST = 100
MAX_AGES = 16
AGES_AT_ONCE = 4
PART_QUALITY = 95


class TimetravelHandler(VisionHandler):
    """Shows one face a request at several ages."""

    consumes = ("image/*",)
    produces = (NPY, JSON, JPEG, PNG)
    shows = "ages"
    parameters = (
        Parameter(
            "ages",
            int,
            default=(25, 35, 55, 75),
            minimum=0,
            maximum=OLDEST,
            unit="years",
            many=True,
            max_items=MAX_AGES,
            text="the ages to show the face at, in the order of the answer",
        ),
        Parameter(
            "align",
            bool,
            default=True,
            text="look for the face and cut it out; false takes a square picture of it as it is",
        ),
        Parameter(
            "face",
            int,
            default=0,
            minimum=0,
            text="which of several faces, 0 for the one found with most certainty",
        ),
    )
    answers = one_or_list(
        record(
            type=choice((JPEG,), "of the pictures"),
            side=whole(1, text="of each picture, in pixels"),
            original=file_text(JPEG, "the face as it is"),
            ages=listed(
                record(age=whole(0, OLDEST, "in years"), image=file_text(JPEG)), most=MAX_AGES
            ),
        )
    )
    unexplained = (
        "timetravel has no explanations: its answer is a picture that changes everywhere at once, "
        "and no single number of it says how old the face looks; besides, one gradient through "
        "the three networks takes 3.4 GB at 1024 x 1024, and an explanation needs dozens; compare "
        "the pictures of several ages instead"
    )
    # 4-dimensional weights stay as they are in the mapped file, which a conversion would copy.
    layout = torch.contiguous_format
    reuses_memory = True
    # The example is a face cut out already: nobody looks for one.
    example_headers = {"X-Marquee-Align": "false", "X-Marquee-Ages": "40"}  # noqa: RUF012

    def load(self) -> nn.Module:
        """The network, sized by its weight file, and the face finder where there is one."""
        together = _ages_at_once(dict(self.settings.options))
        # On a CPU a picture at 1024 x 1024 is work enough, and four take four times the memory.
        on_cpu = self.placement.device.type == "cpu"
        self._at_once = AtOnce(encoded=together, painted=1 if on_cpu else together)
        self._find_face = face_finder(self.model_dir)
        network = load_network(self.weights)
        network.decoder.fix()
        return network

    @property
    def _network(self) -> AgeingNetwork:
        return cast(AgeingNetwork, self.network)

    def preprocess(self, request: Request) -> Tensor:
        """Return (3 + ages, side, side) uint8: the face, and a plane of years for each age."""
        face = self._face(request)
        request.notes["face"] = face
        side = self._network.face_side
        if face.size != (side, side):
            face = face.resize((side, side), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(face)).permute(2, 0, 1)
        years = torch.tensor(request.parameters["ages"], dtype=torch.uint8)
        return torch.cat([pixels, years[:, None, None].expand(-1, side, side)])

    def _face(self, request: Request) -> Image.Image:
        image = request.payload.image()
        if request.parameters["align"]:
            return align(image, self._find_face(image, request.parameters["face"]))
        if image.width != image.height:
            raise Unprocessable(
                f"the picture is {image.width} x {image.height} pixels; with align=false a "
                "square one of the face alone is expected"
            )
        return image

    def forward(self, batch: Tensor) -> Tensor:
        """Return (N, ages, S, S, 3) uint8 for (N, 3 + ages, side, side) uint8."""
        faces = (batch[:, :3].float() / 255 - 0.5) / 0.5
        faces = faces.to(self.placement.dtype).contiguous()
        years = batch[:, 3:, 0, 0].float()
        return show_ages(self._network, faces, years, self._at_once, self._let_go)

    def _let_go(self, part: nn.Module) -> None:
        let_go(self._pages[part])

    @cached_property
    def _pages(self) -> dict[nn.Module, list[Span]]:
        network = self._network
        encoders = (network.pretrained_encoder, network.encoder)
        return {part: mapped_pages(part, self.weights) for part in encoders}

    def postprocess(self, output: Tensor, request: Request) -> Result:
        """Put the face and ``output`` (ages, S, S, 3) side by side: (S, S * (1 + ages), 3)."""
        side = self._network.picture_side
        face = request.notes["face"].resize((side, side), Image.Resampling.BICUBIC)
        tiles = [np.asarray(face), *output.numpy()]
        described = _described(tiles, request) if request.accept == JSON else None
        return Result(json=described, image=np.concatenate(tiles, axis=1))


def _ages_at_once(options: dict[str, Any]) -> int:
    """Read ``marquee.options``: how many pictures are painted in one go."""
    value = options.pop("ages_at_once", AGES_AT_ONCE)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"marquee.options.ages_at_once is {value!r}, expected an integer >= 1")
    if options:
        raise SettingsError(f"marquee.options has {sorted(options)}; known is ages_at_once")
    return value


def _described(tiles: list[Array], request: Request) -> dict[str, Any]:
    """Return the tiles as base64 of JPEG files, each with its age."""
    original, *aged = [_base64_jpeg(tile) for tile in tiles]
    pairs = zip(request.parameters["ages"], aged, strict=True)
    pictures = [{"age": age, "image": picture} for age, picture in pairs]
    answer = {"type": JPEG, "side": len(tiles[0]), "original": original, "ages": pictures}
    return {"predictions": [answer]} if request.listed else answer


def _base64_jpeg(tile: Array) -> str:
    return base64.b64encode(Result(image=tile, jpeg_quality=PART_QUALITY).encode(JPEG)).decode()
