"""Find a network's weights in a checkpoint: one rule for the files of all trainers.

Trainers wrap networks (``module.``, ``_orig_mod.``, ``model.``) and put the weights beside other
things (``state_dict``, ``params_ema``). Every mapping in the file is tried with every prefix of
that kind that its keys have, and the one in which most of the network's own keys are found is
taken. Two that are as good and differ are a question that only the user can answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

# Made by DataParallel and its like, torch.compile and sharding, anywhere in a key.
WRAPPERS = {
    "module",
    "_orig_mod",
    "_forward_module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
}
# Attributes that trainers keep the network under: the first components of a key.
HOLDERS = WRAPPERS | {"model", "net", "network", "generator", "netG", "ema_model", "ema"}
NESTING = 4
# Beside averaged weights (torch.optim.swa_utils) lies how many were averaged.
COUNTER = "n_averaged"
# Where weights lie when nothing is known of the network's keys.
CONTAINERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "params_ema",
    "ema",
    "ema_state_dict",
    "model_ema",
    "module",
)
DEPTH = 3
MAX_MAPPINGS = 100


@dataclass(frozen=True)
class StateDict:
    """Weights in a checkpoint.

    Attributes:
        place: the keys that lead to them, such as ``state_dict``; empty for the file itself.
        prefix: what was taken off the beginning of their keys.
        state: the weights by the keys that are left.
        beside: keys of the same mapping that are no weights of this network.
    """

    place: str
    prefix: str
    state: Mapping[str, Tensor]
    beside: tuple[str, ...]

    def __str__(self) -> str:
        """Say where they are, as a person would look for them."""
        place = self.place or "the file's own keys"
        return f"{place} under {self.prefix}" if self.prefix else place


def find(content: object, known: Collection[str]) -> StateDict | None:
    """Return the weights in ``content``, or None where there are none.

    Args:
        content: what a weight file holds.
        known: keys that the network has, all or some that only it has; empty where they are
            not known.

    Raises:
        ValueError: two fit and are not the same; names both.
    """
    candidates = [one for place in _mappings(content, known) for one in _forms(*place, known)]
    if not candidates:
        return None
    scores = [sum(key in one.state for key in known) for one in candidates]
    if known and not any(scores):
        # Of another network: what it lacks is told by who knows the network.
        return max(candidates, key=lambda one: len(one.state))
    if not known:  # what lies in a container was put there on purpose
        candidates = [one for one in candidates if one.place] or candidates
        scores = [0] * len(candidates)
    best = max(scores)
    first, *others = (one for one, score in zip(candidates, scores, strict=True) if score == best)
    other = next((one for one in others if not _same(first, one, known)), None)
    if other is not None:
        raise ValueError(
            f"two sets of weights fit, {first} and {other}, and they differ; save the one that "
            "you want alone: torch.save(ITS_STATE_DICT, 'weights.pth')"
        )
    return first


def _same(one: StateDict, other: StateDict, known: Collection[str]) -> bool:
    """Compare those weights that count."""
    keys = [key for key in known if key in one.state] or [*(one.state.keys() | other.state.keys())]
    return all(_equal(one.state.get(key), other.state.get(key)) for key in keys)


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one is other:
        return one is other
    return one.dtype == other.dtype and torch.equal(one, other)


def _mappings(
    content: object, known: Collection[str]
) -> Iterator[tuple[str, Mapping[object, object]]]:
    """Yield the mappings in ``content`` with the keys that lead there, the outer ones first."""
    waiting = [("", content)]
    for _ in range(MAX_MAPPINGS):
        if not waiting:
            return
        place, value = waiting.pop(0)
        if not isinstance(value, Mapping):
            continue
        yield place, value
        if place.count("/") < DEPTH - 1:
            names = [name for name in value if isinstance(name, str)]
            names = names if known else [name for name in CONTAINERS if name in value]
            inner = ((f"{place}/{name}".lstrip("/"), value[name]) for name in names)
            waiting += [one for one in inner if isinstance(one[1], Mapping)]


def _forms(
    place: str, content: Mapping[object, object], known: Collection[str]
) -> Iterator[StateDict]:
    """Yield what the mapping's tensors are called, with and without what trainers add."""
    tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if not tensors:
        return
    if not known:
        prefix = _common(tensors)
        yield _without(place, tensors, prefix) if prefix else StateDict(place, "", tensors, ())
        return
    for named in filter(None, (tensors, _unwrapped(tensors))):
        for prefix in dict.fromkeys(["", *(p for key in named for p in _prefixes(key))]):
            yield _without(place, named, prefix)


def _common(tensors: Mapping[str, Tensor]) -> str:
    """Return the wrappers that stand before every key but the counter of averaged weights."""
    prefix = ""
    while True:
        keys = [key.removeprefix(prefix) for key in tensors if key != COUNTER]
        first = {key.partition(".")[0] for key in keys}
        if len(first) != 1 or not first <= WRAPPERS or not all("." in key for key in keys):
            return prefix
        prefix += f"{first.pop()}."


def _prefixes(key: str) -> Iterator[str]:
    prefix = ""
    for part in key.split(".", NESTING)[:NESTING]:
        if part not in HOLDERS:
            return
        prefix += f"{part}."
        yield prefix


def _without(place: str, tensors: Mapping[str, Tensor], prefix: str) -> StateDict:
    inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    beside = tuple(key for key in tensors if not key.startswith(prefix))
    return StateDict(place, prefix, inside, beside)


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Return the tensors without wrappers inside of keys, as of a part that was wrapped alone."""
    named = {
        ".".join(part for part in key.split(".") if part not in WRAPPERS): value
        for key, value in tensors.items()
    }
    return None if len(named) < len(tensors) or named.keys() == tensors.keys() else named
