"""Which model an endpoint stands for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.local.cloud import TEMPLATE
from deploy.local.endpoints import ApiError, Endpoint, Endpoints, Target, archive_in
from deploy.local.packages import package, parameters
from deploy.local.template import source
from marquee.project import Project
from tests.support import ROOT

SERVED = ("cifar", "smoke")


def target(name: str, container: dict[str, Any], **more: Any) -> Target:
    """Return the target of an endpoint whose only variant's model has the given container."""
    model = SimpleNamespace(primary_container=container, containers=[])
    plane = SimpleNamespace(_models={"the-model": model})
    endpoint = Endpoint(name, "us-east-1", None, {"main": 1.0}, {"main": "the-model"})
    stored: dict[str, bytes] = more.get("stored", {})
    endpoints = Endpoints(lambda _: plane, stored.get, SERVED, more.get("aliases", {}))
    return endpoints.target(endpoint, "main", more.get("asked"))


def test_what_the_operator_says_comes_first() -> None:
    aliases = {"e": Target("smoke", "2.0")}
    assert target("e", {"ModelDataUrl": "s3://b/cifar.tar.gz"}, aliases=aliases).version == "2.0"


def test_an_endpoint_that_the_operator_names_need_not_be_created() -> None:
    plane = SimpleNamespace(endpoints={})
    endpoints = Endpoints(lambda _: plane, lambda _: None, SERVED, {"123-456-789": Target("smoke")})
    endpoint = endpoints.find("123-456-789", "us-east-1")
    assert endpoints.target(endpoint, endpoint.variant(None), None) == Target("smoke")


def test_an_endpoint_that_is_not_there_says_what_to_do() -> None:
    plane = SimpleNamespace(endpoints={})
    endpoints = Endpoints(lambda _: plane, lambda _: None, SERVED, {})
    with pytest.raises(ApiError, match="--endpoint nowhere=MODEL"):
        endpoints.find("nowhere", "us-east-1")


def test_the_containers_own_setting_comes_next() -> None:
    container = {
        "Environment": {"SAGEMAKER_DEFAULT_MODEL": "smoke"},
        "ModelDataUrl": "s3://b/cifar.tar.gz",
    }
    assert target("e", container) == Target("smoke")


def test_an_archive_in_the_package_names_model_and_version() -> None:
    stored = {"s3://b/model.tar.gz": package(Target("cifar", "1.0"))}
    container = {"ModelDataUrl": "s3://b/model.tar.gz"}
    assert target("e", container, stored=stored) == Target("cifar", "1.0")


@pytest.mark.parametrize("name", ["smoke", "my-smoke-endpoint", "SMOKE-1"])
def test_a_name_of_a_served_model_will_do(name: str) -> None:
    assert target(name, {"ModelDataUrl": "s3://b/other.tar.gz"}) == Target("smoke")


def test_a_target_model_is_one_of_many() -> None:
    assert target("e", {}, asked="cifar.tar.gz") == Target("cifar")


def test_where_nothing_tells_the_error_says_what_to_do() -> None:
    with pytest.raises(ApiError, match="--endpoint e=MODEL"):
        target("e", {"ModelDataUrl": "s3://b/latest_net_G.tar.gz"})


@pytest.mark.parametrize("data", [b"", b"no tarball", bytes(1024)])
def test_a_package_that_cannot_be_read_says_nothing(data: bytes) -> None:
    assert archive_in(data) is None


def test_variants_are_drawn_by_their_weights() -> None:
    endpoint = Endpoint("e", "us-east-1", None, {"a": 0.0, "b": 1.0}, {})
    assert {endpoint.variant(None) for _ in range(50)} == {"b"}


def test_a_variant_that_starts_with_nothing_gets_nothing() -> None:
    """The emulator leaves a weight of 0 out of what it says of an endpoint."""
    variants = [
        {"VariantName": "old", "ModelName": "a"},
        {"VariantName": "new", "ModelName": "b", "InitialVariantWeight": 0.0},
    ]
    config = SimpleNamespace(production_variants=variants, async_inference_config=None)
    found = SimpleNamespace(
        endpoint_status="InService",
        endpoint_config_name="c",
        production_variants=[{"VariantName": "old"}, {"VariantName": "new"}],
        last_modified_time=None,
    )
    plane = SimpleNamespace(endpoints={"e": found}, endpoint_configs={"c": config})
    endpoints = Endpoints(lambda _: plane, lambda _: None, SERVED, {})
    assert endpoints.find("e", "us-east-1").variants == {"old": 1.0, "new": 0.0}
    found.production_variants[1]["CurrentWeight"] = 0.5
    assert endpoints.find("e", "us-east-1").variants["new"] == 0.5


def test_the_templates_parameters_name_archives() -> None:
    served = [Target("cifar", "1.0"), Target("cifar", "2.0"), Target("inkwash", "1.0")]
    found = parameters(Project(ROOT), source(ROOT / TEMPLATE), served)
    assert found == {
        "CifarLenetModel": Target("cifar", "1.0"),
        "CifarVgg11Model": Target("cifar", "2.0"),
        "InkwashModel": Target("inkwash", "1.0"),
    }
