"""What a server's models are, read back from its OpenAPI document."""

from __future__ import annotations

import json

import pytest

from marquee.openapi.document import document
from marquee.openapi.served import Offer
from marquee.studio.catalogue import Catalogue, Models, of_document
from marquee.studio.connection import of_url
from tests.marquee.openapi.said import everything
from tests.support import free_ports

SERVED = everything()
READ = tuple(of_document(json.loads(json.dumps(document(SERVED)))))


def key(offer: Offer) -> tuple[str, str]:
    return offer.model, offer.version


def test_a_document_tells_every_version_and_which_is_the_default() -> None:
    assert sorted((*key(one), one.default) for one in READ) == sorted(
        (*key(one), one.default) for one in SERVED.offers
    )


@pytest.mark.parametrize("offer", [one for one in SERVED.offers if one.known], ids=key)
def test_a_document_tells_what_a_handler_declares(offer: Offer) -> None:
    read = next(one for one in READ if key(one) == key(offer))
    assert read.said["produces"] == offer.said["produces"]
    assert read.said["shows"] == offer.said["shows"]
    declared = offer.said["parameters"]["properties"]
    found = read.said["parameters"]["properties"]
    assert found.keys() == declared.keys()
    for name, schema in declared.items():
        assert found[name].get("default") == schema["default"]
        assert found[name]["type"] == schema["type"]
    assert bool(read.said["explanations"]) == bool(offer.said["explanations"])


def test_a_handler_that_says_nothing_is_there_too() -> None:
    assert next(one for one in READ if one.model == "foreign").said["explanations"] is None


def test_the_default_version_comes_first_and_answers_for_a_name_that_is_gone() -> None:
    models = Models((Offer("m", "1.0", False, {}), Offer("m", "2.0", True, {})))
    assert models.versions("m") == ["2.0", "1.0"]
    for asked, found in ((None, "2.0"), ("1.0", "1.0"), ("9.0", "1.0")):
        offer = models.find("m", asked)
        assert offer is not None
        assert offer.version == found
    assert models.find("other") is None


def test_a_server_that_is_not_there_is_told_in_a_sentence() -> None:
    (port,) = free_ports(1)
    connection = of_url(f"http://127.0.0.1:{port}/", None, None, None)
    try:
        found = Catalogue(connection).models()
    finally:
        connection.close()
    assert found == Models((), f"no server answers at http://127.0.0.1:{port}")
