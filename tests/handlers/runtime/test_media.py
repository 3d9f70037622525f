import pytest

from handlers.runtime.errors import NotAcceptable
from handlers.runtime.media import JSON, MAX_RANGES, PNG, matches, media_type, negotiate

PRODUCES = ("application/json", "image/jpeg", "image/png")


@pytest.mark.parametrize(
    ("header", "media"),
    [
        (None, ""),
        ("", ""),
        ("Image/PNG", "image/png"),
        ("application/json; charset=utf-8", "application/json"),
    ],
)
def test_media_type_without_parameters(header: str | None, media: str) -> None:
    assert media_type(header) == media


def test_wildcards_match() -> None:
    assert matches("image/png", "image/*")
    assert matches("image/*", "image/*")
    assert matches("text/csv", "*/*")
    assert not matches("imagery/png", "image/*")
    assert not matches("image/png", "image/jpeg")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("*", "application/json"),
        ("image/*", "image/jpeg"),
        ("IMAGE/PNG", "image/png"),
        ("image/png, image/jpeg", "image/jpeg"),
        ("image/png;q=0.9, image/jpeg;q=0.8", "image/png"),
        ("image/*;q=0.5, image/png", "image/png"),
        # The specific range counts for a type, also when it is the worse one.
        ("image/*, image/jpeg;q=0.1", "image/png"),
        ("text/html, application/xhtml+xml, image/avif, */*;q=0.8", "application/json"),
        ("image/png;level=1;q=0.3, application/json;q=0.2", "image/png"),
        ("image/png;q=broken", "image/png"),
    ],
)
def test_the_best_type_is_chosen(accept: str | None, chosen: str) -> None:
    assert negotiate(accept, PRODUCES) == chosen


@pytest.mark.parametrize(
    "accept", ["text/html", "image/webp, text/*", "*/*;q=0", "image/png;q=0.0"]
)
def test_nothing_acceptable_lists_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, image/jpeg, image/png"):
        negotiate(accept, PRODUCES)


def test_of_a_long_accept_header_the_first_hundred_count() -> None:
    many = ",".join(["text/html"] * (MAX_RANGES - 1))
    assert negotiate(f"{many},{PNG},*/*;q=0", (JSON, PNG)) == PNG
    with pytest.raises(NotAcceptable):
        negotiate(f"{many},text/css,{PNG}", (JSON, PNG))
