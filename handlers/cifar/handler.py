"""CIFAR-10 classification: an image in, ten class names with probabilities out."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from handlers.cifar.model import CLASSES, VGG11, late_layer, load_network, normalise
from handlers.runtime import (
    JSON,
    NPY,
    BadRequest,
    Parameter,
    Payload,
    Request,
    Result,
    VisionHandler,
)
from handlers.runtime.answers import choice, named, number, one_or_list, record
from handlers.runtime.arrays import NPY_MAGIC, Array
from handlers.runtime.explain import METHOD, STEPS, attribute
from handlers.runtime.heatmap import picture_of
from handlers.runtime.looks import is_image
from handlers.runtime.media import UNDECLARED

SIDE = 32
PLANES = (3, SIDE, SIDE)
PLANE_BYTES = 3 * SIDE * SIDE


class CifarHandler(VisionHandler):
    """Classifies images, or arrays of 0..255 shaped (3, 32, 32) or (N, 3, 32, 32)."""

    consumes = ("image/*", NPY)
    produces = (JSON, NPY)
    shows = "classes"
    parameters = (
        Parameter(
            "top_k",
            int,
            default=len(CLASSES),
            minimum=1,
            maximum=len(CLASSES),
            unit="classes",
            text="how many classes to name, the most probable first",
        ),
    )

    answers = one_or_list(
        record(
            label=choice(CLASSES, "the most probable class"),
            probabilities=named(number(0, 1), "of the classes, the most probable first"),
        )
    )
    explain_parameters = (
        METHOD,
        STEPS,
        Parameter(
            "target",
            str,
            default=None,
            choices=(*CLASSES, *(str(index) for index in range(len(CLASSES)))),
            text="the class whose logit is explained, by name or index; the winning one if absent",
        ),
    )

    preprocess_in_threads = True

    def load(self) -> nn.Module:
        """LeNet or VGG11, told apart by the keys of the weight file."""
        network = load_network(self.weights)
        if isinstance(network, VGG11):
            network.fold()
        return network

    def preprocess(self, request: Request) -> Tensor:
        """Return (N, 3, 32, 32), N the number of pictures in the request.

        Bytes, which ``forward`` normalises for the whole batch; or, where numbers were sent that
        are no bytes, float32 in [-1, 1].
        """
        pixels = torch.from_numpy(np.concatenate([_pixels(one) for one in request.payloads]))
        return pixels if pixels.dtype == torch.uint8 else normalise(pixels)

    def forward(self, batch: Tensor) -> Tensor:
        """Return logits (N, 10) for what ``preprocess`` returns."""
        logits: Tensor = self.network(self._normalised(batch))
        return logits

    def _normalised(self, batch: Tensor) -> Tensor:
        """Return pictures as the network takes them, in its number format."""
        if batch.dtype != torch.uint8:
            return batch
        return normalise(batch).to(self.placement.dtype)

    def postprocess(self, output: Tensor, request: Request) -> Result:
        """``output`` holds logits (N, 10); N = 1 is answered without a list around it."""
        answers = [_answer(row, request.parameters["top_k"]) for row in output.softmax(dim=1)]
        listed = request.listed or len(answers) > 1
        value: Any = {"predictions": answers} if listed else answers[0]
        return Result(json=value, array=output.numpy())

    def explain(self, request: Request) -> Result:
        """Explain the logit of one class, against mid-gray as the input that says nothing."""
        image = self._only_picture(request)
        target = self._target(request.parameters["target"], image)
        attribution = attribute(
            request,
            lambda batch: self.network(batch)[:, target],
            image,
            placement=self.placement,
            layer=late_layer(self.network),
        )
        return attribution.result(picture_of(image), CLASSES[target])

    def _only_picture(self, request: Request) -> Tensor:
        pictures = self.preprocess(request)
        if pictures.dtype == torch.uint8:
            pictures = normalise(pictures)
        if len(pictures) != 1:
            raise BadRequest(f"one picture a request is explained, {len(pictures)} were sent")
        return pictures[0]

    @torch.inference_mode()
    def _target(self, named: str | None, image: Tensor) -> int:
        """Return the index of the class that was named, by default of the winning one."""
        if named is None:
            return int(self.network(self.placement.batch([image])).argmax())
        return int(named) if named.isdecimal() else CLASSES.index(named)


def _pixels(payload: Payload) -> Array:
    """Return (N, 3, 32, 32), 0 to 255, from whatever was sent."""
    data = payload.data
    if isinstance(data, bytes) and _are_planes(data, payload.content_type):
        return np.frombuffer(data, np.uint8).reshape(1, *PLANES)
    if payload.is_array:
        return _checked(payload.array())
    image = payload.image(reduced_to=(SIDE, SIDE))
    small: Array = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    planes: Array = small.transpose(2, 0, 1)[np.newaxis]
    return planes


def _are_planes(data: bytes, content_type: str) -> bool:
    """Tell whether a body is the format of the phone app and the first entry point.

    R, G and B plane without a header, sent as application/x-npy or without a true type. Their
    size alone does not say so: an image file may have it too.
    """
    undeclared = content_type in UNDECLARED or content_type == NPY
    return undeclared and len(data) == PLANE_BYTES and not _is_file(data)


def _is_file(data: bytes) -> bool:
    return data.startswith(NPY_MAGIC) or is_image(data)


def _checked(array: Array) -> Array:
    if array.shape[-3:] != PLANES or array.ndim not in (3, 4):
        raise BadRequest(
            f"the array's shape is {array.shape}; expected {PLANES} or (N, 3, 32, 32): planes "
            "of red, green and blue"
        )
    if array.min() < 0 or array.max() > 255:
        raise BadRequest(
            f"the array's values go from {array.min():g} to {array.max():g}; "
            "expected 0 to 255, not normalised"
        )
    numbers: Array = array.reshape(-1, *PLANES).astype(np.float32)
    return numbers


def _answer(probabilities: Tensor, top_k: int) -> dict[str, Any]:
    values, indices = probabilities.topk(top_k)
    named = {CLASSES[i]: p for i, p in zip(indices.tolist(), values.tolist(), strict=True)}
    return {"label": next(iter(named)), "probabilities": named}
