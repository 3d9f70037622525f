"""The models of a multi-model endpoint: a folder of model.tar.gz in S3, which requests name."""

from __future__ import annotations

import re
from datetime import datetime

from marquee.errors import MarqueeError
from marquee.sagemaker import objects
from marquee.sagemaker.account import Account, Call
from marquee.sagemaker.deploy import GZIP
from marquee.sagemaker.tarball import Packed
from marquee.sagemaker.values import check, split_s3

# SageMaker takes any; these need no quoting anywhere.
NAME = re.compile(r"[\w-][\w./-]*\.tar\.gz")


def address(folder: str, name: str) -> str:
    """Return where a model belongs, or refuse a folder that is none, and a name that cannot be."""
    _check_folder(folder)
    check("the model's name", name, NAME, "letters, digits, '-', '_', '.', '/', and .tar.gz last")
    return folder + name


def _check_folder(folder: str) -> None:
    split_s3(folder, "FOLDER")
    if not folder.endswith("/"):
        raise MarqueeError(
            f"FOLDER is {folder!r}; expected the --model-data of a multi-model endpoint, which "
            "ends with /"
        )


def listing(folder: str) -> Call:
    """Return the call that lists a folder's models."""
    _check_folder(folder)
    return objects.listed(folder)


def models(account: Account, folder: str) -> dict[str, tuple[int, datetime]]:
    """Return the models by the names that requests call them: bytes, and since when."""
    call = listing(folder)
    stored = account.make(call).get("Contents", [])
    prefix = call.parameters["Prefix"]
    return {
        one["Key"].removeprefix(prefix): (one["Size"], one["LastModified"])
        for one in stored
        if one["Key"].endswith(".tar.gz")
    }


def dry_put(folder: str, name: str, packed: Packed) -> list[Call]:
    """Return the calls of :func:`put`."""
    return [objects.listed(address(folder, name)), _upload(folder, name, packed)]


def put(account: Account, folder: str, name: str, packed: Packed) -> None:
    """Put a model where requests can name it at once.

    Raises:
        MarqueeError: there is one of this name: endpoints that have loaded it would go on with it.
    """
    place = address(folder, name)
    if objects.size(account, place) is not None:
        raise MarqueeError(
            f"{place} is there already, and an endpoint that has loaded it would go on with the "
            "old one; put it under a new name with --as"
        )
    account.make_all([_upload(folder, name, packed)])


def _upload(folder: str, name: str, packed: Packed) -> Call:
    archives = [member for member in packed.members if member.endswith(".mar")]
    if len(archives) > 1:
        raise MarqueeError(
            f"{', '.join(archives)} cannot be one model: a multi-model endpoint loads one archive "
            "from each model.tar.gz; put each --version by itself, with its own --as"
        )
    place = address(folder, name)
    step = f"Uploading {packed.size / 1e6:.1f} MB to {place}"
    return objects.upload(packed.path, place, GZIP, step)


def dry_removal(folder: str, name: str) -> list[Call]:
    """Return the calls of :func:`remove`."""
    place = address(folder, name)
    return [objects.listed(place), objects.deletion(place)]


def remove(account: Account, folder: str, name: str) -> None:
    """Take a model away; endpoints that have loaded it answer with it until they need the room.

    Raises:
        MarqueeError: there is none of this name.
    """
    place = address(folder, name)
    if objects.size(account, place) is None:
        known = ", ".join(models(account, folder)) or "none"
        raise MarqueeError(f"there is no {name} in {folder}; it has {known}")
    account.make_all([objects.deletion(place)])
