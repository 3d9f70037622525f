"""Which GPUs TorchServe may count, in words that version 0.12 understands."""

from __future__ import annotations

from collections.abc import Mapping

from marquee.errors import MarqueeError

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNT = "TS_NUMBER_OF_GPU"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to add: none where TorchServe counts rightly by itself.

    It takes an empty list for all devices, and "-1" for one.

    Raises:
        MarqueeError: devices are named in a way on which it would end.
    """
    text = environment.get(VISIBLE)
    if text is None or COUNT in environment:
        return {}
    devices = [part.strip() for part in text.split(",") if part.strip()]
    if not devices or "-1" in devices:
        return {COUNT: "0"}
    if not all(device.isdecimal() for device in devices):
        raise MarqueeError(
            f"{VISIBLE} is {text!r}; TorchServe understands numbers only: name devices to the "
            "container's runtime instead (NVIDIA_VISIBLE_DEVICES, docker run --gpus)"
        )
    return {}
