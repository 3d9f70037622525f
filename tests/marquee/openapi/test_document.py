"""The document is valid, and has what the models declare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from marquee.front.refusals import ERRORS
from marquee.openapi.document import document
from marquee.openapi.failures import FAILURES
from marquee.openapi.served import Offer
from tests.marquee.openapi.said import everything

FRONT = document(everything())
PLAIN = document(everything(front=False, secured=False))


@pytest.mark.parametrize("made", [FRONT, PLAIN], ids=["front", "plain"])
def test_it_is_valid(made: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


def test_each_model_has_its_paths() -> None:
    assert {"/predictions/smoke", "/predictions/smoke/{version}"} <= FRONT["paths"].keys()
    assert "/explanations/smoke" in FRONT["paths"]
    assert "/explanations/timetravel" not in FRONT["paths"]
    version = FRONT["paths"]["/predictions/cifar/{version}"]["post"]["parameters"][0]
    assert version["schema"]["enum"] == ["1.0", "2.0"]


def test_a_version_with_a_description_of_its_own_has_a_path_of_its_own() -> None:
    served = everything()
    other = Offer("cifar", "3.0", False, {**served.models["cifar"][0].said, "produces": ["x/y"]})
    paths = document(replace(served, offers=(*served.offers, other)))["paths"]
    assert paths["/predictions/cifar/3.0"]["post"]["responses"]["200"]["content"].keys() == {"x/y"}
    assert paths["/predictions/cifar"] == FRONT["paths"]["/predictions/cifar"]


def named(where: str, path: str = "/predictions/cifar") -> dict[str, Any]:
    given = FRONT["paths"][path]["post"]["parameters"]
    return {one["name"]: one for one in given if one["in"] == where}


def test_a_parameter_is_a_header_a_query_and_a_field() -> None:
    schema = {"type": "integer", "minimum": 1, "maximum": 10, "default": 10, "x-unit": "classes"}
    assert named("header")["X-Marquee-Top-K"]["schema"] == schema
    assert named("query")["top_k"]["schema"] == schema
    content = FRONT["paths"]["/predictions/cifar"]["post"]["requestBody"]["content"]
    field = content["multipart/form-data"]["schema"]["properties"]["top_k"]
    assert field.pop("description").endswith("(classes)")
    assert field == schema


def test_a_list_is_one_value_with_commas() -> None:
    ages = named("query", "/predictions/timetravel")["ages"]
    assert (ages["style"], ages["explode"]) == ("form", False)


def test_without_a_front_door_there_is_no_query() -> None:
    post = PLAIN["paths"]["/predictions/cifar"]["post"]
    assert {one["in"] for one in post["parameters"]} == {"header"}
    assert "/live" not in PLAIN["paths"]
    assert PLAIN["security"] == []


def test_bodies_are_those_that_a_model_reads() -> None:
    def content(model: str) -> dict[str, Any]:
        found: dict[str, Any] = FRONT["paths"][f"/predictions/{model}"]["post"]["requestBody"]
        return found["content"]  # type: ignore[no-any-return]

    assert {"image/jpeg", "application/x-npy", "application/json"} <= content("cifar").keys()
    assert "image/jpeg" not in content("smoke")
    assert content("halves").keys() == {"application/json", "text/csv"}
    assert "*/*" in content("foreign")


def test_answers_have_names_and_explanations_one_for_all() -> None:
    assert {"CifarAnswer", "CifarAnswers", "Explanation"} <= FRONT["components"]["schemas"].keys()
    responses = FRONT["paths"]["/explanations/smoke"]["post"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Explanation"}


def test_all_errors_of_the_front_door_are_there() -> None:
    assert {error.status for error in ERRORS} <= FAILURES.keys()
    assert "504" not in PLAIN["paths"]["/predictions/cifar"]["post"]["responses"]
