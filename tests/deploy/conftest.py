"""Each test of the functions has a stage of its own; clients and the endpoints' server are kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

import shared
from deploy.aws import validate
from tests.deploy.stage import REGION, Endpoints, Stage, served
from timetravel import table

PIPELINES = {
    "cifar": ("Cifar",),
    "inkwash": ("Inkwash",),
    "rotifer": ("Rotifer",),
    "smoke": ("SmokeUpload", "SmokeInfer"),
    "timetravel": ("TimetravelSubmit", "TimetravelSettle", "TimetravelJobs"),
}


@pytest.fixture(scope="session")
def template() -> validate.Template:
    """The template as written."""
    return validate.load()


@pytest.fixture(scope="session")
def endpoints() -> Iterator[tuple[str, Endpoints]]:
    """Address and content of the server that stands for SageMaker's."""
    made = Endpoints()
    with served(made) as address:
        yield address, made


@pytest.fixture
def fresh_clients() -> Iterator[None]:
    """For tests that change what a client reads when it is made."""
    forget()
    yield
    forget()


def forget() -> None:
    shared.client.cache_clear()
    table.dynamo.cache_clear()


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    template: validate.Template,
    endpoints: tuple[str, Endpoints],
) -> Iterator[Stage]:
    """The stage of the pipeline that the test's file is named after."""
    pipeline = request.node.path.stem.removeprefix("test_")
    address, containers = endpoints
    containers.clear()
    made = Stage(template, containers)
    variables = made.environment(*PIPELINES[pipeline])
    variables["AWS_DEFAULT_REGION"] = REGION
    variables["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = address
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        made.make()
        yield made
