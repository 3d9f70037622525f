"""Batch transform: what SageMaker asks a container before it sends a bucket's files.

Source: the SageMaker developer guide, "Use your own inference code with batch transform", and the
bounds of ``CreateTransformJob``.
"""

from __future__ import annotations

from collections.abc import Sequence

from marquee.container.modelstore import StoredModel
from marquee.container.variables import ContainerSettings

# Of all requests in flight together.
MOST_MB = 100
# More side by side leaves little for a file.
MOST_AT_ONCE = 10


def execution_parameters(
    settings: ContainerSettings, models: Sequence[StoredModel], default: str | None
) -> dict[str, int | str] | None:
    """Return the answer to ``GET /execution-parameters``, for jobs that do not say otherwise.

    A file is a request, as many at once as fill the default model's batches, each as large as
    SageMaker then allows. None for a multi-model server, which batch transform has no use for.
    """
    if settings.multi_model:
        return None
    at_once = max((model.at_once for model in models if model.name == default), default=1)
    at_once = min(at_once, MOST_AT_ONCE)
    most = min(settings.max_payload_mb or MOST_MB, MOST_MB // at_once)
    return {
        "MaxConcurrentTransforms": at_once,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": most,
    }
