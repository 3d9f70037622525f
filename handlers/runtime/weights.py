"""Read weight files safely and fit them to a network, with errors a person can act on."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handlers.runtime.checkpoints import find
from handlers.runtime.filekind import PYTORCH, SAFETENSORS, UNKNOWN, kind_of
from handlers.runtime.pickled import StandIn, classes_in, foreign_names, read_pickled
from handlers.runtime.safetensors import read_safetensors

logger = logging.getLogger(__name__)

SHOWN_KEYS = 5
COUNTER = ".num_batches_tracked"
SAVE = "where you have the network, save its weights alone: torch.save(network.state_dict(), path)"


class WeightsError(ValueError):
    """A weight file that is missing, damaged, or made for another network."""


def read_state(path: Path, known: Collection[str] = ()) -> dict[str, Tensor]:
    """Read a state dict from ``path`` onto the CPU without running any code in it.

    Accepts both of PyTorch's file formats and safetensors, whatever the file is called, and a
    checkpoint that holds the state beside other things or with a trainer's prefixes; see
    ``handlers.runtime.checkpoints``. Files are memory-mapped where their format can be.

    Args:
        path: the file.
        known: keys of the network, all or some that only it has: by them its weights are found
            in a checkpoint. Without them only what is the usual way of wrapping is undone.

    Raises:
        WeightsError: the file is missing, truncated, or no state dict.
    """
    return plain_state(read_content(path), path, known)


def read_content(path: Path, allowed: Sequence[type] = ()) -> Any:
    """Read whatever ``path`` holds beside and above its tensors, as :func:`read_state` does.

    Args:
        path: a file that torch.save or safetensors wrote.
        allowed: classes that the file may hold besides PyTorch's own and plain values; to
            make one must run no code of its own. Objects of others become stand-ins.

    Raises:
        WeightsError: the file is missing, truncated, or something else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such weight file")
    kind = kind_of(path)
    try:
        if kind.name == SAFETENSORS:
            return read_safetensors(path)
        if kind.name == PYTORCH:
            return read_pickled(path, allowed)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a plain state dict{_whose(foreign_names(path))}; {SAVE}"
        ) from error
    except Exception as error:  # on damaged data the readers raise almost anything
        said = f" ({_first_line(error)})" if kind.name == SAFETENSORS else ""
        raise WeightsError(
            f"{path}: cannot be read ({path.stat().st_size} bytes); "
            f"the file is truncated or damaged, copy it again{said}"
        ) from error
    if kind.name == UNKNOWN:
        raise WeightsError(
            f"{path}: cannot be read ({path.stat().st_size} bytes): it is neither a PyTorch file "
            f"nor a safetensors file, or it is truncated or damaged; copy it again, or {SAVE}"
        )
    raise WeightsError(f"{path}: is {kind.name}, not a state dict; {kind.advice}")


def _first_line(error: Exception) -> str:
    """Leave out what torch adds of its own source's places."""
    return str(error).partition("\n")[0]


def _whose(names: Sequence[str]) -> str:
    own = classes_in(names)
    if own:
        return f" (it holds objects of {_some(own)})"
    return " (it is not written as torch.save writes by default: another pickle protocol?)"


def plain_state(content: object, path: Path, known: Collection[str] = ()) -> dict[str, Tensor]:
    """Return the state dict in what :func:`read_content` gave; ``known`` as there.

    Raises:
        WeightsError: there is none, or two that differ.
    """
    try:
        chosen = find(content, known)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    if chosen is None:
        raise WeightsError(f"{path}: {_nothing(content)}")
    if chosen.place or chosen.prefix or chosen.beside:
        beside = f"; beside it: {_some(chosen.beside)}" if chosen.beside else ""
        logger.info("%s: took %s, %d tensors%s", path.name, chosen, len(chosen.state), beside)
    return dict(chosen.state)


def _nothing(content: object) -> str:
    """Say what a file without weights holds instead."""
    if isinstance(content, StandIn):
        return f"holds a whole network ({_some([content.named])}) rather than its weights; {SAVE}"
    if not isinstance(content, Mapping):
        return f"expected a state dict, found {type(content).__name__}"
    whole = [
        f"{value.named} in {key}" for key, value in content.items() if isinstance(value, StandIn)
    ]
    if whole:
        return f"holds no tensors, but {_some(whole)}; {SAVE}"
    keys = _some(str(key) for key in content)
    return f"expected a state dict, found one without tensors ({keys or 'it is empty'})"


def fit_state(
    network: nn.Module, state: Mapping[str, Tensor], path: Path, *, assign: bool = False
) -> None:
    """Load ``state`` into ``network``, key for key and shape for shape.

    Args:
        network: gets the weights.
        state: as :func:`read_state` gives it.
        path: for messages.
        assign: take the tensors themselves instead of copying their values, so that a large
            network built on the meta device is in memory once.

    Raises:
        WeightsError: names ``path`` and the first keys that are missing, left
            over, or shaped otherwise, with the shapes expected and found.
    """
    wanted = network.state_dict()
    state = plain_state(state, path, wanted) if state else state
    wrong = [
        f"{key} should be {tuple(wanted[key].shape)} and is {tuple(state[key].shape)}"
        for key in wanted
        if key in state and not _is_odd(state[key]) and wanted[key].shape != state[key].shape
    ]
    problems = [
        # Files older than PyTorch 0.4.1 lack the counters, which only training reads.
        ("missing", [key for key in wanted if key not in state and not key.endswith(COUNTER)]),
        ("unknown", [key for key in state if key not in wanted]),
        ("of another shape", wrong),
        ("no plain numbers", [key for key in wanted if key in state and _is_odd(state[key])]),
    ]
    mismatches = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems if keys]
    if mismatches:
        raise WeightsError(
            f"{path}: does not fit {type(network).__name__} ({len(wanted)} tensors expected, "
            f"{len(state)} found); {'; '.join(mismatches)}"
        )
    network.load_state_dict(state, assign=assign)
    if not assign:  # else its file would be read through, at every start
        check_finite(network, path)


def _is_odd(tensor: Tensor) -> bool:
    """Tell what cannot be copied into a usual tensor: sparse, quantized, complex, without data."""
    dense = tensor.layout == torch.strided and not tensor.is_nested
    return not dense or tensor.is_quantized or tensor.is_complex() or tensor.is_meta


def check_finite(network: nn.Module, path: Path) -> None:
    """Refuse weights that are no numbers: every answer would be nonsense.

    Raises:
        WeightsError: names ``path`` and the first tensors with NaN or infinite values.
    """
    wrong = [name for name, value in _weights(network) if not bool(value.isfinite().all())]
    if wrong:
        raise WeightsError(
            f"{path}: NaN or infinite numbers in {len(wrong)} tensors: {_some(wrong)}; the "
            "training diverged or the file is damaged, take an earlier checkpoint"
        )


def _weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what was trained; a buffer of another kind, such as a mask, may be infinite."""
    yield from network.named_parameters()
    for name, value in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            yield name, value


def _some(keys: Iterable[str]) -> str:
    # Names come from the file: no line of a log or a terminal is theirs to end.
    names = [key if key.isprintable() else repr(key) for key in keys]
    more = f", and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
    return ", ".join(names[:SHOWN_KEYS]) + more
