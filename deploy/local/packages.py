"""What the stack's endpoints are made of: the project's archives, as parameters of the template."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from deploy.local.endpoints import Target
from marquee.archives.rooms import default_version
from marquee.project import Project

BUCKET = "marquee-models"
BUCKET_PARAMETER = "ModelBucket"


def parameters(
    project: Project, template: Mapping[str, Any], served: Iterable[Target]
) -> Mapping[str, Target]:
    """Return which archive each parameter of the template is that its ``Archives`` lists.

    Without a version it is the one that answers by default. Those that are not served are left
    out.
    """
    listed = template.get("Metadata", {}).get("Archives", {})
    known = set(served)
    wanted = {name: _versioned(project, Target.of(text)) for name, text in listed.items()}
    return {name: target for name, target in wanted.items() if target in known}


def _versioned(project: Project, target: Target) -> Target:
    return Target(target.model, target.version or default_version(project, target.model))


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
