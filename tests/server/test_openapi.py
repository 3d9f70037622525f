"""The OpenAPI document against the server that it describes."""

from __future__ import annotations

import copy
import importlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_spec_validator import OpenAPIV31SpecValidator

from marquee.openapi.document import document
from marquee.openapi.served import served
from marquee.project import Project
from tests.openapi_trial import tried
from tests.server.test_content_types import SHIP
from tests.support import Running, marquee


@pytest.fixture(scope="module")
def described(server: Running) -> dict[str, Any]:
    """The document of the shared server."""
    asked = Project(server.project.root, {**os.environ, **server.environment})
    made: dict[str, Any] = json.loads(json.dumps(document(served(asked))))
    return made


def only(described: dict[str, Any], *starts: str) -> dict[str, Any]:
    paths = {path: item for path, item in described["paths"].items() if path.startswith(starts)}
    return described | {"paths": paths}


def test_it_is_valid_and_has_all_models(described: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []
    assert {"/predictions/cifar", "/explanations/inkwash"} <= described["paths"].keys()


def test_random_requests_are_answered_as_it_says(
    server: Running, described: dict[str, Any]
) -> None:
    key = server.keys.get("inference")
    starts = ("/predictions/cifar", "/explanations/cifar", "/ping")
    trial = tried(only(described, *starts), server.inference, key, examples=4)
    assert trial.failures == []
    assert {200, 400} <= trial.statuses["POST /predictions/cifar"].keys()
    assert trial.requests > 20


def test_an_answer_that_is_not_as_it_says_is_noticed(
    server: Running, described: dict[str, Any]
) -> None:
    lying = copy.deepcopy(only(described, "/ping"))
    lying["paths"]["/ping"]["get"]["responses"]["200"]["content"]["application/json"] = {
        "schema": {"type": "string"}
    }
    trial = tried(lying, server.inference, server.keys.get("inference"), examples=1)
    assert any("violates schema" in failure for failure in trial.failures), trial.failures


def test_the_command_asks_the_running_server(server: Running, tmp_path: Path) -> None:
    out = tmp_path / "cifar.json"
    done = marquee(server.project, "openapi", "cifar", "-o", str(out), **server.environment)
    assert done.returncode == 0, done.stderr
    paths = json.loads(out.read_text())["paths"]
    assert "/predictions/cifar/{version}" in paths
    assert not any("inkwash" in path for path in paths)


def test_a_client_that_a_public_generator_makes_of_it_works(
    server: Running, described: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, made = tmp_path / "openapi.json", tmp_path / "made"
    source.write_text(json.dumps(only(described, "/predictions/cifar")))
    settings = ConfigFile(post_hooks=[], project_name_override="asked")
    generate(
        config=Config.from_sources(
            settings, MetaType("none"), source, "utf-8", overwrite=True, output_path=made
        )
    )
    monkeypatch.syspath_prepend(str(made.parent))
    client_of, ask = (importlib.import_module(f"made.{name}") for name in CLIENT_MODULES)
    types = importlib.import_module("made.types")
    file = types.File(io.BytesIO(SHIP), "ship.png", "image/png")
    with client_of.AuthenticatedClient(server.inference, server.keys.get("inference")) as client:
        answer = ask.sync(client=client, body=file, x_marquee_top_k=2)
    assert answer.label == "ship"
    assert len(answer.probabilities.additional_properties) == 2


CLIENT_MODULES = ("client", "api.cifar.predict_cifar")
