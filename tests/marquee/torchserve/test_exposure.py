import pytest

from marquee.torchserve.exposure import beyond_loopback, warnings


@pytest.mark.parametrize(
    ("host", "beyond"),
    [
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("localhost", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", True),  # noqa: S104
        ("::", True),
        ("192.168.1.7", True),
        ("::ffff:10.0.0.1", True),
        ("gpu7.example.org", True),
    ],
)
def test_what_other_machines_can_reach(host: str, beyond: bool) -> None:
    assert beyond_loopback(host) is beyond


def test_the_default_is_nothing_to_warn_of() -> None:
    safe = {"management_address": "http://127.0.0.1:8081", "metrics_address": "http://[::1]:8082"}
    assert warnings(safe | {"inference_address": "http://0.0.0.0:8080"}) == []


def test_each_open_address_is_named_with_its_risk() -> None:
    found = warnings(
        {
            "management_address": "http://0.0.0.0:8081",
            "metrics_address": "http://10.0.0.5:8082",
            "grpc_management_address": "0.0.0.0",  # noqa: S104
        }
    )
    assert len(found) == 3
    assert "management_address listens on 0.0.0.0" in found[0]
    assert "run code here" in found[0]
    assert "metrics need no token" in found[1]


def test_tokens_that_are_off() -> None:
    assert "tokens are turned off" in warnings({"disable_token_authorization": "true"})[0]
