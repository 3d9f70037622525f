"""Read ``sam_ffhq_aging.pt``, as published, or a smaller file of the same layout.

The file holds ``state_dict`` (with the prefixes ``encoder.``, ``decoder.`` and
``pretrained_encoder.``), ``latent_avg`` and ``opts``. Sizes come from the tensors' shapes;
of the options only those that say what the codes start from are of use.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from itertools import count, groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handlers.runtime.pickled import StandIn
from handlers.runtime.weights import WeightsError, fit_state, plain_state, read_content
from handlers.timetravel.decoder import DecoderSizes
from handlers.timetravel.encoder import STAGES, EncoderSizes
from handlers.timetravel.model import AVERAGE, ENCODED, NOTHING, AgeingNetwork, Sizes

State = Mapping[str, Tensor]

# By these an ageing network's weights are found in what the file holds.
MARKS = tuple(f"{part}.input_layer.0.weight" for part in ("encoder", "pretrained_encoder"))


def load_network(path: Path) -> AgeingNetwork:
    """Read the network from ``path``, in eval mode, on the CPU.

    The weights stay in the mapped file until they are used, so that they are in memory once,
    and shared by all workers of a machine.

    Raises:
        WeightsError: the file is missing or damaged, is no ageing network's, or has
            missing, unknown or wrongly shaped tensors; names the file and the first of them.
    """
    content = read_content(path, allowed=[Namespace])
    if isinstance(content, StandIn):
        plain_state(content, path)  # says that it is a whole network
    if not isinstance(content, Mapping) or "latent_avg" not in content:
        raise WeightsError(
            f"{path}: not an ageing checkpoint: expected a dict with state_dict, latent_avg and "
            f"opts, found {_described(content)}"
        )
    state = plain_state(content, path, MARKS)
    state.pop("latent_avg", None)  # in a safetensors file it lies among the others
    sizes = _sizes(state, _options(content.get("opts"), path), path)
    with torch.device("meta"):
        network = AgeingNetwork(sizes)
    fit_state(network, _unmapped_counters(state), path, assign=True)
    network.latent_avg = _average(content["latent_avg"], sizes.decoder, path)
    return network.eval()


def _described(content: object) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    return f"one with {', '.join(str(key) for key in list(content)[:4]) or 'nothing'}"


def _options(opts: object, path: Path) -> Mapping[str, Any]:
    options = vars(opts) if isinstance(opts, Namespace) else {} if opts is None else opts
    if not isinstance(options, Mapping):
        raise WeightsError(f"{path}: opts is {type(opts).__name__}, expected names and values")
    return options


def _sizes(state: State, options: Mapping[str, Any], path: Path) -> Sizes:
    try:
        sizes = Sizes(
            _encoder_sizes(_part(state, "encoder.")),
            _decoder_sizes(_part(state, "decoder.")),
            _encoder_sizes(_part(state, "pretrained_encoder.")),
            _start(options),
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{path}: not an ageing network's state dict: {error} is missing or of another rank"
        ) from error
    _check(sizes, path)
    return sizes


def _part(state: State, prefix: str) -> dict[str, Tensor]:
    # By the beginning: "pretrained_encoder." holds the word "encoder." too.
    return {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}


def _start(options: Mapping[str, Any]) -> str:
    if options.get("start_from_latent_avg", False):
        return AVERAGE
    return ENCODED if options.get("start_from_encoded_w_plus", True) else NOTHING


def _encoder_sizes(part: State) -> EncoderSizes:
    depths = [part[key].shape[0] for key in _numbered(part, "body.{}.res_layer.1.weight")]
    stages = [(depth, len([*group])) for depth, group in groupby(depths)]
    width = part["styles.0.linear.weight"].shape[0]
    halvings = len(_numbered(part, "styles.0.convs.{}.weight", step=2))
    return EncoderSizes(
        channels=part["input_layer.0.weight"].shape[1],
        side=1 << (halvings + STAGES),
        widths=tuple(depth for depth, _ in stages),
        units=tuple(units for _, units in stages),
        styles=len(_numbered(part, "styles.{}.linear.weight")),
        style_width=width,
    )


def _decoder_sizes(part: State) -> DecoderSizes:
    doubling = _numbered(part, "convs.{}.conv.weight", step=2)
    return DecoderSizes(
        style_width=part["conv1.conv.modulation.weight"].shape[1],
        channels=tuple(part[key].shape[1] for key in ("conv1.conv.weight", *doubling)),
        mapping_layers=len(_numbered(part, "style.{}.weight", first=1)),
    )


def _numbered(part: State, pattern: str, first: int = 0, step: int = 1) -> list[str]:
    """Return the keys of ``pattern`` with the numbers first, first + step, ... that are there."""
    keys: list[str] = []
    for number in count(first, step):
        key = pattern.format(number)
        if key not in part:
            return keys
        keys.append(key)
    raise AssertionError("a state dict is finite")


def _check(sizes: Sizes, path: Path) -> None:
    """Refuse parts that do not belong together; the shapes of all else are checked key by key."""
    decoder = sizes.decoder
    for name, encoder, channels in (
        ("encoder", sizes.encoder, 4),
        ("pretrained_encoder", sizes.pretrained_encoder, 3),
    ):
        expected = (STAGES, channels, sizes.encoder.side, decoder.styles, decoder.style_width)
        found = (
            len(encoder.widths),
            encoder.channels,
            encoder.side,
            encoder.styles,
            encoder.style_width,
        )
        if found != expected:
            raise WeightsError(
                f"{path}: {name} has {found} stages, input channels, input side, styles and "
                f"numbers a style; with its decoder {expected} is expected"
            )


def _unmapped_counters(state: State) -> dict[str, Tensor]:
    """Copy BatchNorm's counters: as views they would keep the file mapped after a conversion."""
    return {key: t.clone() if t.dim() == 0 else t for key, t in state.items()}


def _average(value: object, decoder: DecoderSizes, path: Path) -> Tensor:
    width = decoder.style_width
    shapes = [(width,), (1, width), (decoder.styles, width)]
    if not isinstance(value, Tensor) or tuple(value.shape) not in shapes:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise WeightsError(f"{path}: latent_avg is {found}, expected one of the shapes {shapes}")
    return value.float()
