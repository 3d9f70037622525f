"""Explanations: how much each part of an input added to a number that the network gives for it.

A handler turns its question into a score: a function of a batch (N, C, H, W) with one number
an item, (N,), differentiable where gradients are needed, such as the logit of one class. Then

    attribution = attribute(request, score, item, placement=self.placement)
    return attribution.result(picture, target="ship")

answers ``/explanations/<model>`` in every form. The methods are captum's
(https://captum.ai, BSD-3-Clause), which is needed by those who ask for explanations only.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.runtime.arrays import Array
from handlers.runtime.attribution import Attribution
from handlers.runtime.device import Placement
from handlers.runtime.errors import InternalError, TooLarge, Unavailable, Unprocessable
from handlers.runtime.parameters import Parameter
from handlers.runtime.request import Request

INTEGRATED_GRADIENTS = "integrated_gradients"
GRAD_CAM = "grad_cam"
OCCLUSION = "occlusion"

METHOD = Parameter(
    "method",
    str,
    default=INTEGRATED_GRADIENTS,
    choices=(INTEGRATED_GRADIENTS, GRAD_CAM, OCCLUSION),
    text="how the explanation is computed",
)
STEPS = Parameter(
    "steps",
    int,
    default=64,
    minimum=8,
    maximum=256,
    unit="evaluations",
    text="points of the integral, or windows that are covered; grad_cam needs one evaluation",
)

INSTALL = "pip install captum==0.9.0"
# Pixels in one call of the network, which keeps all its activations for the gradient.
PIXELS_AT_ONCE = 1 << 15
ITEMS_AT_ONCE = 64
# Pixels of one item; above it one gradient alone takes gigabytes.
MAX_PIXELS = 1 << 20

# (N, C, H, W) on the handler's placement -> (N,)
Score: TypeAlias = Callable[[Tensor], Tensor]


def attribute(
    request: Request,
    score: Score,
    item: Tensor,
    *,
    placement: Placement,
    baseline: Tensor | float = 0.0,
    layer: nn.Module | None = None,
) -> Attribution:
    """Attribute ``score(item) - score(baseline)`` to the parts of ``item``.

    Method and steps are the request's parameters ``METHOD`` and ``STEPS``, which the handler
    declares in ``explain_parameters``. Memory is bounded: the network gets at most
    ``PIXELS_AT_ONCE`` pixels a call, or one item. So is time: by the steps and by the
    request's deadline.

    Args:
        request: what was asked.
        score: (N, C, H, W) of the placement's dtype to (N,); its network must not use
            anything made in inference mode.
        item: (C, H, W), as ``preprocess`` returns it.
        placement: where and in what format the network runs.
        baseline: an input that says nothing, (C, H, W) or one number for all of it.
        layer: the convolution (or what follows it) whose output (N, K, h, w) Grad-CAM weighs.

    Raises:
        Unprocessable: Grad-CAM without a layer, or captum is not installed here.
        TooLarge: more than ``MAX_PIXELS``.
        Unavailable: the deadline has passed.
    """
    method, steps = request.parameters[METHOD.name], request.parameters[STEPS.name]
    height, width = item.shape[-2:]
    if height * width > MAX_PIXELS:
        raise TooLarge(
            f"the input has {height} x {width} pixels, at most {MAX_PIXELS} can be explained; "
            "send a smaller one"
        )
    captum = _captum()
    with torch.inference_mode(False), torch.enable_grad():
        # Cloned: what was made in inference mode has no gradients.
        point = item.detach().clone().to(placement.device, torch.float32)[None]
        origin = torch.as_tensor(baseline, dtype=torch.float32, device=placement.device)
        run = _Explanation(captum, score, placement, request.deadline, point, origin, steps, layer)
        values = run.values(method)
        scores = run.both_scores()
    return Attribution(
        method, steps, _checked(values), *scores, complete=method == INTEGRATED_GRADIENTS
    )


@dataclass(frozen=True)
class _Explanation:
    """One explanation; called as a function, it is the score that captum asks for."""

    captum: Any
    score: Score
    placement: Placement
    deadline: float
    point: Tensor  # (1, C, H, W), float32
    origin: Tensor  # broadcasts to (C, H, W), float32
    steps: int
    layer: nn.Module | None

    def __call__(self, batch: Tensor) -> Tensor:
        """Score float32 (N, C, H, W) in the network's own format; returns float32 (N,)."""
        if time.monotonic() > self.deadline:
            raise Unavailable(
                "the explanation did not end in the time it had; ask for fewer steps or a "
                "smaller input, or send it again when the server has less to do"
            )
        placed = batch.to(dtype=self.placement.dtype, memory_format=torch.channels_last)
        scores = self.score(placed)
        if scores.shape != batch.shape[:1]:
            raise ValueError(f"the score of {tuple(batch.shape)} is {tuple(scores.shape)}")
        return scores.float()

    def values(self, method: str) -> Tensor:
        """Return (1, C or 1, H, W)."""
        methods = {
            INTEGRATED_GRADIENTS: self.integrated_gradients,
            GRAD_CAM: self.grad_cam,
            OCCLUSION: self.occlusion,
        }
        return methods[method]()

    def both_scores(self) -> tuple[float, float]:
        """Score the item, then the baseline."""
        with torch.no_grad():
            return float(self(self.point)), float(self(self._baseline()))

    def _baseline(self) -> Tensor:
        return self.origin.expand_as(self.point)

    def _at_once(self) -> int:
        pixels = self.point.shape[2] * self.point.shape[3]
        return min(max(PIXELS_AT_ONCE // pixels, 1), ITEMS_AT_ONCE)

    def integrated_gradients(self) -> Tensor:
        """(x - b) times the mean gradient on the straight way from b to x.

        Gauss-Legendre quadrature with ``steps`` points; Sundararajan et al., arXiv:1703.01365.
        """
        values: Tensor = self.captum.IntegratedGradients(self).attribute(
            self.point,
            baselines=self._baseline(),
            n_steps=self.steps,
            internal_batch_size=self._at_once(),
        )
        return values

    def occlusion(self) -> Tensor:
        """How much the score falls when a window of the input shows the baseline.

        Zeiler and Fergus, arXiv:1311.2901. A window hides all channels and is twice its step
        wide, so neighbours overlap; a pixel gets the mean of the windows that hide it.
        """
        _, channels, height, width = self.point.shape
        (down, right), window = windows(height, width, self.steps)
        values: Tensor = self.captum.Occlusion(self).attribute(
            self.point,
            sliding_window_shapes=(channels, *window),
            strides=(channels, down, right),
            baselines=self._baseline(),
            perturbations_per_eval=self._at_once(),
        )
        return values[:, :1]  # the same for every channel

    def grad_cam(self) -> Tensor:
        """The layer's maps weighted by their mean gradients, negative sums cut, enlarged.

        R. R. Selvaraju et al., "Grad-CAM", ICCV 2017, arXiv:1610.02391.
        """
        if self.layer is None:
            raise Unprocessable(
                "this model has no grad_cam: it weighs the maps of a late layer by one gradient "
                "each, which says little of an output that depends on where something is; "
                f"use {INTEGRATED_GRADIENTS} or {OCCLUSION}"
            )
        maps = self.captum.LayerGradCam(self, self.layer).attribute(
            self.point.requires_grad_(), relu_attributions=True
        )
        size = self.point.shape[2:]
        return functional.interpolate(maps.detach().float(), size, mode="bilinear")


def windows(height: int, width: int, count: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lay at most ``count`` about square windows over (height, width).

    Returns:
        Steps and sides of the windows, each (down, right), in pixels.
    """
    rows = min(max(round(math.sqrt(count * height / width)), 1), count, height)
    columns = min(max(count // rows, 1), width)
    down, right = -(-height // rows), -(-width // columns)
    return (down, right), (min(2 * down, height), min(2 * right, width))


def _captum() -> Any:
    """Import captum, which takes about a second, with the first explanation."""
    try:
        return importlib.import_module("captum.attr")
    except ImportError as error:
        raise Unprocessable(
            f"explanations need captum where the model runs ({error}); install it there: {INSTALL}"
        ) from error


def _checked(values: Tensor) -> Array:
    array: Array = values[0].detach().to("cpu", torch.float32).contiguous().numpy()
    if not np.isfinite(array).all():
        raise InternalError(
            "the network's gradients are not finite for this input; try the method "
            f"{OCCLUSION}, or serve the model with precision fp32"
        )
    return array
