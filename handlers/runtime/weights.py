"""Read weight files safely and fit them to a network, with errors a person can act on."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SHOWN_KEYS = 5


class WeightsError(ValueError):
    """A weight file that is missing, damaged, or made for another network."""


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from ``path`` onto the CPU without running any code in it.

    Accepts both of PyTorch's file formats, a dict that holds the state under
    ``state_dict``, ``model`` or ``net``, and strips the ``module.`` prefix that
    ``DataParallel`` leaves. Zip-format files are memory-mapped.

    Raises:
        WeightsError: the file is missing, truncated, or no state dict.
    """
    return plain_state(read_content(path), path)


def read_content(path: Path, allowed: Sequence[type] = ()) -> Any:
    """Read whatever ``path`` holds beside and above its tensors, as :func:`read_state` does.

    Args:
        path: a file that torch.save wrote.
        allowed: classes that the file may hold besides PyTorch's own and plain values; to
            make one must run no code of its own.

    Raises:
        WeightsError: the file is missing, truncated, or holds other classes.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such weight file")
    try:
        with torch.serialization.safe_globals([*allowed]):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{path}: not a plain state dict ({reason}); "
            "save it again with torch.save(network.state_dict(), path)"
        ) from error
    except Exception as error:  # on damaged data the unpickler raises almost anything
        raise WeightsError(
            f"{path}: cannot be read ({path.stat().st_size} bytes); "
            "the file is truncated or damaged, copy it again"
        ) from error


def plain_state(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in what :func:`read_content` gave, its keys without ``module.``.

    Raises:
        WeightsError: there is none, or it holds anything else than tensors.
    """
    return {key.removeprefix("module."): value for key, value in _unwrap(content, path).items()}


def _unwrap(content: object, path: Path) -> Mapping[str, Tensor]:
    if isinstance(content, Mapping):
        for name in ("state_dict", "model", "net"):
            if isinstance(content.get(name), Mapping):
                content = content[name]
                break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path}: expected a state dict, found {type(content).__name__}")
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise WeightsError(f"{path}: expected tensors only, but {_some(strange)} are none")
    return content


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
    wrong = [
        f"{key} should be {tuple(wanted[key].shape)} and is {tuple(state[key].shape)}"
        for key in wanted
        if key in state and wanted[key].shape != state[key].shape
    ]
    problems = [
        ("missing", [key for key in wanted if key not in state]),
        ("unknown", [key for key in state if key not in wanted]),
        ("of another shape", wrong),
    ]
    found = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems if keys]
    if found:
        raise WeightsError(
            f"{path}: does not fit {type(network).__name__} ({len(wanted)} tensors expected, "
            f"{len(state)} found); {'; '.join(found)}"
        )
    network.load_state_dict(state, assign=assign)


def _some(keys: Iterable[str]) -> str:
    names = list(keys)
    more = f", and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
    return ", ".join(names[:SHOWN_KEYS]) + more
