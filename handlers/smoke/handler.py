"""Smoke in satellite scenes: six bands in, the probability of smoke for each pixel out."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from handlers.runtime import (
    JSON,
    NPY,
    PNG,
    BadRequest,
    Parameter,
    Request,
    Result,
    VisionHandler,
)
from handlers.runtime.answers import nested, number, record
from handlers.runtime.explain import METHOD, STEPS, attribute
from handlers.runtime.region import region_of, region_parameter
from handlers.smoke.explanation import area, band_means, only_scene
from handlers.smoke.model import load_network
from handlers.smoke.overlay import OPACITY, THRESHOLD, composite, overlay
from handlers.smoke.scene import TIFF, check_range, read_scenes
from handlers.smoke.stitch import WINDOW, predict, window_of


class SmokeHandler(VisionHandler):
    """Segments tiles, (256, 256, 6) or (N, 256, 256, 6), and larger scenes without a seam."""

    consumes = (NPY, TIFF)
    produces = (JSON, NPY, PNG)
    shows = "mask"
    reuses_memory = True
    parameters = (
        Parameter(
            "threshold",
            float,
            default=THRESHOLD,
            minimum=0,
            maximum=1,
            text="image/png only: the probability from which smoke is drawn",
        ),
        Parameter(
            "opacity",
            float,
            default=OPACITY,
            minimum=0,
            maximum=1,
            text="image/png only: how much the drawn smoke covers",
        ),
    )
    answers = record(
        predictions=nested(4, number(0, 1), "of smoke: scenes, rows, columns, one number each")
    )
    explain_parameters = (
        METHOD,
        replace(STEPS, default=32),  # about 1 % is missing then, and a step takes long
        region_parameter("mean probability"),
    )
    window = WINDOW

    def load(self) -> nn.Module:
        """The U-Net, from the state dict that pack.py made."""
        self.window = window_of(self.settings.options)
        network = load_network(self.weights)
        if self.placement.dtype == torch.float16:
            network.scale_down()
        # Not in half precision, where shift and mean would cancel each other in few digits; nor
        # on a GPU, which would wait for the small steps at the borders.
        if self.placement.dtype == torch.float32 and self.placement.device.type == "cpu":
            network.fold()
        return network

    def preprocess(self, request: Request) -> Tensor:
        """Return (N, 6, H, W): the numbers as they are, neither divided nor normalised."""
        scenes = read_scenes(request.payloads, self.settings.max_pixels)
        check_range(scenes, self.settings.precision)
        if request.accept == PNG and len(scenes) > 1:
            raise BadRequest(
                f"a picture shows one scene, {len(scenes)} were sent; send one, or accept "
                f"{JSON} or {NPY}"
            )
        return torch.from_numpy(scenes).permute(0, 3, 1, 2)

    def forward(self, batch: Tensor) -> Tensor:
        """Return (N, 1, H, W), in windows where a scene is large."""
        return predict(self.network, batch, self.window)

    def postprocess(self, output: Tensor, request: Request) -> Result:
        """``output`` (N, 1, H, W) is answered as it was asked: channels last, N always there."""
        probabilities = output.permute(0, 2, 3, 1).contiguous().numpy()
        if request.accept != PNG:
            return Result(json={"predictions": probabilities}, array=probabilities)
        (scene,) = read_scenes(request.payloads, self.settings.max_pixels)
        threshold, opacity = request.parameters["threshold"], request.parameters["opacity"]
        return Result(image=overlay(scene, probabilities[0, ..., 0], threshold, opacity))

    def explain(self, request: Request) -> Result:
        """Explain how much of a region is smoke, against a scene of the same bands without form."""
        scene = only_scene(self.preprocess(request))
        box = region_of(request)
        attribution = attribute(
            request,
            lambda batch: area(self.network, batch, box),
            scene,
            placement=self.placement,
            baseline=band_means(scene),
        )
        return attribution.result(composite(scene.permute(1, 2, 0).numpy()), list(box))
