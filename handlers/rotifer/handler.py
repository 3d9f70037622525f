"""Rotifers and whatever else a darknet YOLO model knows: a picture in, boxes and counts out."""

from __future__ import annotations

import base64
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from handlers.rotifer.crop import crop_box
from handlers.rotifer.detections import Detection, Floats, TooManyCandidates, suppress
from handlers.rotifer.explanation import chosen, locate
from handlers.rotifer.labels import read_labels
from handlers.rotifer.model import Darknet, load_network
from handlers.rotifer.options import OUT_OF_MEMORY_ADVICE, input_size
from handlers.rotifer.pictures import Pixels, TooMuchToDraw, check_outlines, draw, resize
from handlers.rotifer.regions import TooFragmented
from handlers.runtime import (
    JPEG,
    JSON,
    PNG,
    InsufficientMemory,
    Parameter,
    Request,
    Result,
    Unprocessable,
    VisionHandler,
)
from handlers.runtime.answers import file_text, listed, named, number, record, whole, words
from handlers.runtime.explain import METHOD, STEPS, attribute
from handlers.runtime.heatmap import picture_of
from handlers.runtime.memory import is_out_of_memory
from handlers.runtime.result import LARGEST_JPEG_SIDE

BOX = "centre x, centre y, width, height in pixels; may reach beyond the picture"
QUALITY = 75  # of the original's answer


class RotiferHandler(VisionHandler):
    """Finds objects in one picture a request, with any detection network of darknet."""

    consumes = ("image/*",)
    produces = (JSON, JPEG, PNG)
    shows = "detections"
    reuses_memory = True
    parameters = (
        Parameter(
            "thresh",
            float,
            default=0.25,
            minimum=0.001,
            maximum=1,
            text="only detections with a higher probability are reported",
        ),
        Parameter(
            "nms",
            float,
            default=0.45,
            minimum=0,
            maximum=1,
            text="of two boxes of a class with a larger overlap (IoU) the weaker is dropped",
        ),
        Parameter(
            "auto_crop",
            bool,
            default=False,
            text="cut the picture to its largest coloured region first",
        ),
        Parameter(
            "upright",
            bool,
            default=False,
            text="turn the picture as its EXIF orientation says; auto_crop always does",
        ),
        Parameter("filename", str, default="", text="taken for compatibility, and not used"),
    )

    answers = record(
        img=file_text("image/*", "the picture with the boxes drawn: JPEG, or PNG if it is long"),
        stat=named(whole(0), "how many there are of each class"),
        detections=listed(
            record(
                **{"class": words("its name")},
                class_id=whole(0),
                probability=number(0, 1),
                box=listed(number(text=BOX), least=4, most=4),
            )
        ),
    )
    explain_parameters = (
        METHOD,
        STEPS,
        Parameter(
            "target",
            int,
            default=0,
            minimum=0,
            text="which detection's objectness is explained: its index in the answer to JSON",
        ),
    )

    def load(self) -> nn.Module:
        """The network that the ``.cfg`` beside the weights describes."""
        files = {kind: self.weights.with_suffix(f".{kind}") for kind in ("cfg", "data", "names")}
        size = input_size(self.settings.options, files["cfg"])
        network = load_network(files["cfg"], self.weights, size)
        self._labels = read_labels(files["names"], files["data"], network.classes)
        return network

    def preprocess(self, request: Request) -> Tensor:
        """Return (3, height, width) in [0, 1], of the network's size."""
        parameters = request.parameters
        upright = parameters["upright"] or parameters["auto_crop"]
        pixels: Pixels = np.asarray(request.payload.image(upright=upright))
        if parameters["auto_crop"]:
            pixels = _cropped(pixels)
        request.notes["pixels"] = pixels
        return torch.from_numpy(resize(pixels, cast(Darknet, self.network).size))

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Return the heads' outputs for (N, 3, height, width)."""
        try:
            return cast(tuple[Tensor, ...], self.network(batch))
        except (RuntimeError, MemoryError) as error:
            # Several are tried again, fewer at a time; of one alone the advice is ours.
            if len(batch) > 1 or not is_out_of_memory(error):
                raise
        raise InsufficientMemory(OUT_OF_MEMORY_ADVICE)

    def postprocess(self, output: tuple[Tensor, ...], request: Request) -> Result:
        """``output`` holds for each head (anchors * (5 + classes), H, W)."""
        pixels = request.notes["pixels"]
        detections = self._detections(tuple(head.numpy() for head in output), request)
        picture = Result(image=_drawn(pixels, detections), jpeg_quality=QUALITY)
        if request.accept != JSON:
            return picture
        # A JPEG, as the original's; a longer picture than that can hold comes as PNG.
        drawn = picture.encode(JPEG if max(pixels.shape) <= LARGEST_JPEG_SIDE else PNG)
        return Result(json=self._answer(drawn, detections))

    def _detections(self, heads: tuple[Floats, ...], request: Request) -> list[Detection]:
        network, (height, width) = cast(Darknet, self.network), request.notes["pixels"].shape[:2]
        candidates = network.candidates(heads, (width, height), request.parameters["thresh"])
        try:
            return suppress(candidates, network.suppression(request.parameters["nms"]))
        except TooManyCandidates as error:
            raise Unprocessable(f"{error}; ask with a higher thresh") from error

    def explain(self, request: Request) -> Result:
        """Explain the objectness of one detection, against a picture of one colour."""
        picture = self.preprocess(request)
        network, (height, width) = cast(Darknet, self.network), request.notes["pixels"].shape[:2]
        with torch.inference_mode():
            outputs = self.forward(self.placement.batch([picture]))
        heads = tuple(head[0].float().cpu().numpy() for head in outputs)
        index = request.parameters["target"]
        detection = chosen(self._detections(heads, request), index)
        threshold = request.parameters["thresh"]
        position = locate(detection, network.heads, heads, (width, height), threshold)
        attribution = attribute(
            request,
            lambda batch: position.objectness(self.forward(batch)),
            picture,
            placement=self.placement,
            baseline=picture.mean(dim=(1, 2), keepdim=True),
        )
        target = {"detection": index, **self._described(detection)}
        return attribution.result(picture_of(picture, low=0), target)

    def _answer(self, picture: bytes, detections: list[Detection]) -> dict[str, Any]:
        return {
            "img": base64.b64encode(picture).decode(),
            "stat": self._labels.count(detections),
            "detections": [self._described(detection) for detection in detections],
        }

    def _described(self, detection: Detection) -> dict[str, Any]:
        return {
            "class": self._labels.names[detection.class_id],
            "class_id": detection.class_id,
            "probability": detection.probability,
            "box": detection.box,
        }


def _drawn(pixels: Pixels, detections: list[Detection]) -> Pixels:
    try:
        check_outlines(pixels.shape, detections)
    except TooMuchToDraw as error:
        raise Unprocessable(f"{error}; ask with a higher thresh, or a lower nms") from error
    return draw(pixels, detections)


def _cropped(pixels: Pixels) -> Pixels:
    try:
        box = crop_box(pixels)
    except TooFragmented as error:
        raise Unprocessable(f"auto_crop: {error}; send the picture without auto_crop") from error
    if box is None:
        raise Unprocessable(
            "auto_crop finds no coloured region (saturation of at least 100 of 255) in this "
            "picture; send it without auto_crop"
        )
    left, top, width, height = box
    return pixels[top : top + height, left : left + width]
