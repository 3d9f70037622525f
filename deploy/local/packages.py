"""What the stack's endpoints are made of: the project's archives, as parameters of the template."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from deploy.local.torchserve import Target
from marquee.archives.rooms import default_version, names, weight_names
from marquee.project import Project

BUCKET = "marquee-models"
BUCKET_PARAMETER = "ModelBucket"
_PARAMETER = re.compile(r"(?P<words>(?:[A-Z][a-z0-9]*)+)Model")
_WORD = re.compile(r"[A-Z][a-z0-9]*")


def parameters(
    project: Project, declared: Iterable[str], served: Iterable[Target]
) -> Mapping[str, Target]:
    """Return which archive each of the template's parameters ``<Model>[<Network>]Model`` is.

    ``CifarLenetModel`` is the version of cifar whose weights are called lenet; without a network
    it is the version that answers by default. Those that are not served are left out.
    """
    found = {}
    for name in declared:
        if matched := _PARAMETER.fullmatch(name):
            words = [word.lower() for word in _WORD.findall(matched["words"])]
            if target := _target(project, words):
                found[name] = target
    known = set(served)
    return {name: target for name, target in found.items() if target in known}


def _target(project: Project, words: list[str]) -> Target | None:
    model, *network = words
    if model not in names(project):
        return None
    if not network:
        return Target(model, default_version(project, model))
    for version, patterns in weight_names(project, model).items():
        if any(pattern.lower().startswith(network[0]) for pattern in patterns):
            return Target(model, version)
    return None


def key(target: Target) -> str:
    """Return where the package of an archive lies in :data:`BUCKET`."""
    return f"{target.model}/{target.version}/model.tar.gz"


def package(target: Target) -> bytes:
    """Return a model.tar.gz that names its archive.

    The archive in it is empty: TorchServe has the real one, and the emulator keeps everything in
    memory, where two gigabytes of weights would lie for nothing.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        packed.addfile(tarfile.TarInfo(f"{target.model}-{target.version}.mar"))
    return out.getvalue()


def upload(s3: Any, targets: Iterable[Target]) -> None:
    """Put the packages where the endpoints look for them."""
    s3.create_bucket(Bucket=BUCKET)
    for target in targets:
        s3.put_object(Bucket=BUCKET, Key=key(target), Body=package(target))
