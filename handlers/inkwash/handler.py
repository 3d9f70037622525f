"""Photo to ink-wash painting: an image in, an image of (nearly) the same shape out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from handlers.inkwash.model import MIN_SIDE, Generator, load_generator
from handlers.inkwash.paint import instance_norm, paint, run
from handlers.runtime import (
    JPEG,
    JSON,
    NPY,
    PNG,
    Parameter,
    Request,
    Result,
    TooLarge,
    Unprocessable,
    VisionHandler,
)
from handlers.runtime.answers import nested, whole
from handlers.runtime.blur import blurred
from handlers.runtime.explain import METHOD, STEPS, attribute
from handlers.runtime.finite import check_finite
from handlers.runtime.heatmap import picture_of
from handlers.runtime.parts import at_once, in_parts
from handlers.runtime.region import Box, cut, region_of, region_parameter
from handlers.runtime.result import check_jpeg_size
from handlers.runtime.settings import SettingsError

WORKING_SIZE = 256
LARGEST_SIZE = 8192
# One painting of so many takes about 450 s on two cores, at 12 s a megapixel and 1.4 times that in
# tiles with their halo: an eighth of responseTimeout. A camera's 24 megapixels fit.
PAINTED_PIXELS = 25_000_000
# A gradient through the original network takes about 11 kB a pixel: 1.4 GB at most.
EXPLAINED_PIXELS = 1 << 17


class InkwashHandler(VisionHandler):
    """Paints one photo a request with the CycleGAN generator."""

    consumes = ("image/*",)
    produces = (JSON, JPEG, PNG, NPY)
    shows = "image"
    parameters = (
        Parameter(
            "size",
            int,
            default=WORKING_SIZE,
            minimum=0,
            maximum=LARGEST_SIZE,
            unit="pixels",
            text="the shorter side of the painting; 0 keeps the photo's own size",
        ),
        Parameter(
            "upright",
            bool,
            default=True,
            text="turn the photo as its EXIF orientation says; false paints it as stored",
        ),
    )

    answers = nested(3, whole(0, 255), "rows of pixels, each red, green and blue")
    explain_parameters = (
        METHOD,
        replace(STEPS, default=32),  # the way from the blurred photo is short and smooth
        region_parameter("mean darkness"),
        Parameter(
            "size",
            int,
            default=128,
            minimum=16,
            maximum=256,
            unit="pixels",
            text="the shorter side of the photo that is explained",
        ),
    )

    painted_pixels = PAINTED_PIXELS

    def load(self) -> nn.Module:
        """The generator, sized by its weight file."""
        self.painted_pixels = painted_pixels_of(self.settings.options)
        return load_generator(self.weights)

    def preprocess(self, request: Request) -> Tensor:
        """Return (3, H, W) uint8, the shorter side as ``size`` says."""
        image = request.payload.image(upright=request.parameters["upright"])
        width, height = _target(image.size, request.parameters["size"])
        if min(width, height) < MIN_SIDE:
            raise Unprocessable(
                f"at {width} x {height} pixels there is nothing to paint; the shorter side must "
                f"have at least {MIN_SIDE}"
            )
        if request.accept == JPEG:
            check_jpeg_size(width, height)  # now, not after minutes of painting
        if width * height > self.painted_pixels:
            raise TooLarge(
                f"at this size the painting has {width} x {height} pixels, at most "
                f"{self.painted_pixels} are painted; ask for a smaller size (or raise "
                "marquee.options.painted_pixels in model-config.yaml)"
            )
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    def forward(self, batch: Tensor) -> Tensor:
        """Paint photos (N, 3, H, W): (N, 3, 4 ceil(H/4), 4 ceil(W/4)), both uint8."""
        generator, dtype = cast(Generator, self.network), self.placement.dtype
        paintings: list[Tensor] = []

        def paint_some(photos: Sequence[Tensor]) -> None:
            numbers = _numbers(torch.stack([*photos])).to(dtype)
            painted = paint(generator, numbers) if len(photos) == 1 else generator(numbers)
            check_finite(painted, dtype)
            paintings.append(_pixels(painted))

        pixels = batch.shape[2] * batch.shape[3]
        in_parts(paint_some, [*batch], at_once(batch.device, pixels))
        return torch.cat(paintings)

    def postprocess(self, output: Tensor, request: Request) -> Result:
        """``output`` is the picture, (3, H, W) uint8."""
        return Result(image=output.permute(1, 2, 0).numpy())

    def explain(self, request: Request) -> Result:
        """Explain how dark the ink is in a region, against the same photo without details.

        The baseline is the photo, blurred. A plain one would not do: on the way from it the
        instance norms, which undo any change of contrast, jump from nothing to the full picture.
        """
        box = region_of(request)
        photo = _numbers(self.preprocess(request))
        if photo[0].numel() > EXPLAINED_PIXELS:
            raise TooLarge(
                f"at this size the photo has {photo[0].numel()} pixels, at most "
                f"{EXPLAINED_PIXELS} are explained; ask for a smaller size"
            )
        generator = cast(Generator, self.network)
        attribution = attribute(
            request,
            lambda batch: _darkness(run(generator.model, batch, instance_norm), box),
            photo,
            placement=self.placement,
            baseline=blurred(photo, sigma=min(photo.shape[1:]) / 10),
        )
        return attribution.result(picture_of(photo), list(box))


def _numbers(pixels: Tensor) -> Tensor:
    """Return uint8 as float32 in [-1, 1]."""
    return (pixels.float() / 255 - 0.5) / 0.5


def _pixels(numbers: Tensor) -> Tensor:
    """Return numbers in [-1, 1] as uint8; cut to 8 bits, not rounded."""
    return ((numbers.float() + 1) / 2 * 255).to(torch.uint8)


def _darkness(painting: Tensor, box: Box) -> Tensor:
    """Return (N,), 0 for white to 1 for black: the mean over ``box`` of (N, 3, H, W)."""
    return (1 - cut(painting, box)).mean(dim=(1, 2, 3)) / 2


def painted_pixels_of(options: Mapping[str, Any]) -> int:
    """Read ``painted_pixels`` from the handler's options.

    Raises:
        SettingsError: an unknown option, or no number of pixels.
    """
    unknown = sorted(set(options) - {"painted_pixels"})
    if unknown:
        raise SettingsError(
            f"marquee.options has {', '.join(unknown)}; inkwash knows painted_pixels only"
        )
    pixels = options.get("painted_pixels", PAINTED_PIXELS)
    if type(pixels) is not int or pixels < 1:
        raise SettingsError(
            f"marquee.options.painted_pixels is {pixels!r}, expected a number of pixels"
        )
    return pixels


def _target(size: tuple[int, int], wanted: int) -> tuple[int, int]:
    """Return (width, height) with ``wanted`` as the shorter side, the longer one cut to int."""
    if wanted == 0:
        return size
    width, height = size
    if width <= height:
        return wanted, int(wanted * height / width)
    return int(wanted * width / height), wanted
