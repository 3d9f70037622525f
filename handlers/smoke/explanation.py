"""What is explained of a scene: how much of a region is smoke, in the network's own probabilities.

The mask's area counts pixels above a threshold, which has no gradient. The mean probability is the
same area without a threshold, each pixel counted by how certain the network is of it.
"""

from __future__ import annotations

from torch import Tensor, nn

from handlers.runtime.errors import BadRequest, TooLarge
from handlers.runtime.region import Box, cut
from handlers.smoke.stitch import whole_cells

# A gradient through the network takes about 4 kB a pixel: 1.1 GB at most.
EXPLAINED_PIXELS = 1 << 18


def only_scene(scenes: Tensor) -> Tensor:
    """Return the scene (6, H, W) of a request (N, 6, H, W).

    Raises:
        BadRequest: there are several.
        TooLarge: it has more than ``EXPLAINED_PIXELS``.
    """
    if len(scenes) != 1:
        raise BadRequest(f"one scene a request is explained, {len(scenes)} were sent")
    height, width = scenes.shape[2:]
    if height * width > EXPLAINED_PIXELS:
        raise TooLarge(
            f"the scene has {height} x {width} pixels, at most {EXPLAINED_PIXELS} are explained; "
            "cut out the part in question"
        )
    return scenes[0]


def band_means(scene: Tensor) -> Tensor:
    """Return each band's mean over the scene, (6, 1, 1): its light and its air, but no form."""
    return scene.float().mean(dim=(1, 2), keepdim=True)


def area(network: nn.Module, batch: Tensor, box: Box) -> Tensor:
    """Return the mean probability in ``box`` for scenes (N, 6, H, W) of any size: (N,)."""
    height, width = batch.shape[2:]
    probabilities: Tensor = network(whole_cells(batch))[..., :height, :width]
    return cut(probabilities, box).mean(dim=(1, 2, 3))
