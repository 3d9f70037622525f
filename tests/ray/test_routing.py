"""Whom a request asks, and how a canary's share is split off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

from marquee.ray.refusal import Refused
from marquee.ray.routing import Asked, Chooser, asked
from marquee.ray.spec import Route, Routes, VersionSpec


def spec(version: str) -> VersionSpec:
    return VersionSpec("m", version, f"m-{version}.mar", "", "")


def routes(share: tuple[str, float] | None = None, *more: str) -> Routes:
    route = Route("1.0", {one: spec(one) for one in ("1.0", "2.0")}, share)
    return Routes(models=dict.fromkeys(("m", *more), route))


def of(path: str, query: str = "", headers: Mapping[str, str] | None = None) -> Asked:
    return asked(path, query, headers or {}, routes(None, "n"))


@pytest.mark.parametrize(
    ("path", "query", "whom"),
    [
        ("/predictions/m", "", ("m", "")),
        ("/predictions/m/", "", ("m", "")),
        ("/predictions/m/2.0", "", ("m", "2.0")),
        ("/explanations/m/2.0", "", ("m", "2.0")),
        ("/invocations", "model_name=m&model_version=2.0", ("m", "2.0")),
        ("/invocations/", "model=n", ("n", "")),
        ("/models/m/invoke", "", ("m", "")),
        ("/v1/models/m:predict", "", ("m", "")),
        ("/v2/models/m/infer", "", ("m", "")),
        ("/m/2.0/predict", "", ("m", "2.0")),
    ],
)
def test_every_address_of_torchserves_names_a_model(
    path: str, query: str, whom: tuple[str, str]
) -> None:
    found = of(path, query)
    assert (found.model, found.version) == whom


def test_a_query_becomes_headers_and_says_who_asks() -> None:
    found = of("/predictions/m", "top_k=3&asked_by=marquee&model=x")
    assert found.headers == {"x-marquee-top-k": "3", "x-marquee-model": "x"}
    assert found.marked
    assert of("/explanations/m").headers == {"explain": "True"}
    assert of("/predictions/m/1.0/more/of/it").headers == {"url_path": "more/of/it"}


def test_custom_attributes_name_a_model() -> None:
    attributes = {"x-amzn-sagemaker-custom-attributes": "a=b; model=n"}
    assert of("/invocations", "", attributes).model == "n"


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/invocations", "", "the models are: m, n"),
        ("/predictions/m", "a b=1", "name must be letters"),
        ("/predictions/m", "a=%00", "plain ASCII"),
        ("/predictions/m", "&".join(f"a{n}=1" for n in range(65)), "more than 64"),
        ("/predictions/m%2Fx", "", "letters, digits"),
        ("/models", "", "not found"),
    ],
)
def test_what_asks_nobody_is_refused(path: str, query: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        of(path, query)


def test_the_sole_model_answers_who_names_none() -> None:
    assert asked("/invocations", "", {}, routes()).model == "m"


def test_a_share_is_spread_evenly() -> None:
    chooser, shared = Chooser(), routes(("2.0", 0.05))
    for _ in range(5):
        arms = [chooser.choose(Asked("m", "", "predictions"), shared)[1] for _ in range(400)]
        assert 18 <= Counter(arms)["canary"] <= 22


def test_who_names_a_version_or_an_explanation_gets_no_canary() -> None:
    chooser, shared = Chooser(), routes(("2.0", 1.0))
    assert chooser.choose(Asked("m", "1.0", "predictions"), shared)[0].version == "1.0"
    assert chooser.choose(Asked("m", "", "explanations"), shared)[0].version == "1.0"
    assert chooser.choose(Asked("m", "", "invocations"), shared)[0].version == "2.0"


@pytest.mark.parametrize(("model", "version"), [("x", ""), ("m", "7")])
def test_who_is_not_there_is_refused(model: str, version: str) -> None:
    with pytest.raises(Refused, match="not found: x|7 does not exist"):
        Chooser().choose(Asked(model, version, "predictions"), routes())
