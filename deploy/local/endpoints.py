"""Which model an endpoint's name stands for, by SageMaker's control plane."""

from __future__ import annotations

import io
import random
import re
import tarfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ASYNC_CONCURRENCY = 4
_WORDS = re.compile(r"[a-z0-9]+")


class ApiError(Exception):
    """SageMaker would answer with an error.

    Attributes:
        status: of the answer.
        kind: the error's name in the SDK.
        more: further members of the error.
    """

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.more = more


@dataclass(frozen=True)
class Target:
    """What an endpoint's variant stands for: a model, and a version unless the default serves."""

    model: str
    version: str | None = None

    @classmethod
    def of(cls, text: str) -> Target:
        """Read ``model`` or ``model/version``."""
        model, _, version = text.partition("/")
        return cls(model, version or None)


def invalid(message: str) -> ApiError:
    """Return a ValidationError."""
    return ApiError(400, "ValidationError", message)


@dataclass(frozen=True)
class Endpoint:
    """An endpoint in service.

    Attributes:
        asynchronous: its AsyncInferenceConfig, if it is one of those.
        variants: name and weight.
        models: each variant's model name.
        since: when it was created or last updated, which is when SageMaker fetches its packages.
        created: whether it is, so that it answers one kind of call; else it is known by the
            operator's word only, who does not say which, and answers both.
    """

    name: str
    region: str
    asynchronous: Mapping[str, Any] | None
    variants: Mapping[str, float]
    models: Mapping[str, str]
    since: datetime | None = None
    created: bool = True

    def variant(self, wanted: str | None) -> str:
        """Return the wanted variant, or one drawn by the weights.

        Raises:
            ApiError: there is no such variant.
        """
        if wanted:
            if wanted not in self.variants:
                known = ", ".join(self.variants)
                raise invalid(f"endpoint {self.name} has no variant {wanted}; it has {known}")
            return wanted
        weights = [*self.variants.values()]
        names = [*self.variants]
        # Without a weight above zero nothing is served; the first one tells what is wrong.
        return random.choices(names, weights)[0] if any(weights) else names[0]  # noqa: S311


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of all regions.

    Attributes:
        control_plane: SageMaker's, of a region.
        fetch: returns an object of S3, or None if it is not there.
        served: names of the models that TorchServe has.
        aliases: models of endpoints by name, as the operator says.
    """

    control_plane: Callable[[str], Any]
    fetch: Callable[[str], bytes | None]
    served: Collection[str]
    aliases: Mapping[str, Target]
    _packed: dict[tuple[str, datetime | None], Target | None] = field(default_factory=dict)

    def find(self, name: str, region: str) -> Endpoint:
        """Return an endpoint that is in service.

        Raises:
            ApiError: there is none of that name.
        """
        backend = self.control_plane(region)
        found = backend.endpoints.get(name)
        if found is None and name in self.aliases:
            return Endpoint(name, region, None, {"AllTraffic": 1.0}, {}, created=False)
        if found is None:
            raise invalid(
                f"endpoint {name} is not in {region}; create it, or start the cloud with "
                f"--endpoint {name}=MODEL"
            )
        if found.endpoint_status != "InService":
            raise invalid(f"Endpoint {name} is {found.endpoint_status}, not InService")
        config = backend.endpoint_configs.get(found.endpoint_config_name)
        if config is None:
            raise invalid(f"endpoint {name}: no configuration {found.endpoint_config_name}")
        weights = {
            one["VariantName"]: float(one.get("InitialVariantWeight", 1.0))
            for one in config.production_variants
        }
        # The emulator says no weight where it is 0.
        weights |= {
            one["VariantName"]: float(one["CurrentWeight"])
            for one in found.production_variants
            if "CurrentWeight" in one
        }
        models = {one["VariantName"]: one["ModelName"] for one in config.production_variants}
        asynchronous, since = config.async_inference_config or None, found.last_modified_time
        return Endpoint(name, region, asynchronous, weights, models, since)

    def target(self, endpoint: Endpoint, variant: str, target_model: str | None) -> Target:
        """Return what serves a variant.

        Raises:
            ApiError: nothing here tells which model it is.
        """
        if target_model:
            return self._named(endpoint, target_model)
        if endpoint.name in self.aliases:
            return self.aliases[endpoint.name]
        model = self.control_plane(endpoint.region)._models.get(endpoint.models[variant])
        container = (model.primary_container or model.containers[0]) if model else {}
        if wanted := (container.get("Environment") or {}).get("SAGEMAKER_DEFAULT_MODEL"):
            return Target(wanted)
        url = str(container.get("ModelDataUrl") or "")
        found = self._inside(url, endpoint.since) if url else None
        return found or self._named(endpoint, url, endpoint.models[variant], endpoint.name)

    def _named(self, endpoint: Endpoint, *texts: str) -> Target:
        for text in texts:
            words = _WORDS.findall(text.lower())
            if found := [name for name in self.served if name in words]:
                return Target(found[0])
        served = ", ".join(sorted(self.served)) or "none"
        raise invalid(
            f"nothing tells which model endpoint {endpoint.name} is (served are: {served}); start "
            f"the cloud with --endpoint {endpoint.name}=MODEL, or set SAGEMAKER_DEFAULT_MODEL in "
            "the model's environment"
        )

    def _inside(self, url: str, since: datetime | None) -> Target | None:
        """Return the model whose archive is in a model.tar.gz, if it can be read and has one."""
        fetched = url, since
        if fetched not in self._packed:
            data = self.fetch(url)
            if data is None:
                return None  # it may still be uploaded
            self._packed[fetched] = archive_in(data)
        return self._packed[fetched]


def archive_in(data: bytes) -> Target | None:
    """Return name and version of the only archive, ``<model>-<version>.mar``, in a tarball."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as packed:
            names = [member.name.rpartition("/")[2] for member in packed if member.isfile()]
    except tarfile.TarError:
        return None
    archives = [name.removesuffix(".mar") for name in names if name.endswith(".mar")]
    if len(archives) != 1:
        return None
    model, _, version = archives[0].rpartition("-")
    return Target(model, version) if model else Target(archives[0])
