"""Each test of the functions has a stage of its own; clients and the endpoints' server are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

import shared
from deploy.aws import validate
from tests.deploy.endpoints import Endpoints, Said, served
from tests.deploy.jobs import ANSWER, NAME
from tests.deploy.resolve import REGION
from tests.deploy.stage import ALL_VARIABLES, Stage
from timetravel import table


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


def one_at_a_time(calls: Callable[..., Any]) -> Callable[..., Any]:
    """Do as AWS does: two that write one key at once do not see each other's halves.

    In moto the second closes the file of the first, which is still being answered.
    """
    lock = threading.RLock()

    @wraps(calls)
    def locked(*words: Any) -> Any:
        with lock:
            return calls(*words)

    return locked


@pytest.fixture
def stage(
    monkeypatch: pytest.MonkeyPatch,
    template: validate.Template,
    endpoints: tuple[str, Endpoints],
) -> Iterator[Stage]:
    """A stage with the template's buckets and table; its functions have the template's rights."""
    address, containers = endpoints
    containers.clear()
    made = Stage(template, containers)
    for name in ALL_VARIABLES:  # each run sets its own; afterwards none is left
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
    calls = one_at_a_time(BotocoreStubber.process_request)
    monkeypatch.setattr(BotocoreStubber, "process_request", calls)
    with mock_aws():
        made.make()
        yield made


@pytest.fixture
def answering(stage: Stage) -> Stage:
    """A stage whose timetravel endpoint answers with the reference's pictures."""
    stage.endpoints.containers[NAME] = lambda asked: Said(ANSWER, "application/x-npy")
    return stage
