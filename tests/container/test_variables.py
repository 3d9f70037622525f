"""The environment, as users of AWS's containers write it."""

import json
from pathlib import Path

import pytest

from marquee.container.inherited import OURS, TORCHSERVE, inherited
from marquee.container.variables import fields_of_variables, read, warnings
from marquee.errors import MarqueeError
from tests.support import ROOT


@pytest.mark.parametrize(
    ("environment", "field", "value"),
    [
        ({}, "port", 8080),
        ({"SAGEMAKER_BIND_TO_PORT": "9000"}, "port", 9000),
        ({"SAGEMAKER_SAFE_PORT_RANGE": "2000-2010"}, "safe_ports", (2000, 2010)),
        ({"SAGEMAKER_MULTI_MODEL": "true"}, "multi_model", True),
        ({"SAGEMAKER_MULTI_MODEL": "False"}, "multi_model", False),
        ({"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/code"}, "code_dir", Path("/opt/code")),
        ({"MARQUEE_MODEL_DIR": "/mnt/models"}, "model_dir", Path("/mnt/models")),
        ({"SAGEMAKER_BASE_DIR": "/ml"}, "model_dir", Path("/ml/model")),
        ({"MARQUEE_MODEL_NAME": "my-cifar"}, "model_name", "my-cifar"),
        ({"MARQUEE_TRUST": "/a.pub, /b"}, "trusted_keys", (Path("/a.pub"), Path("/b"))),
        ({"SAGEMAKER_TS_BATCH_SIZE": "7"}, "batch_size", 7),
        ({"SAGEMAKER_TS_MAX_BATCH_DELAY": "0"}, "max_batch_delay", 0),
        ({"SAGEMAKER_MODEL_SERVER_TIMEOUT": "300"}, "response_timeout", 300),
        ({"TS_DEFAULT_RESPONSE_TIMEOUT": "30"}, "response_timeout", 30),
        ({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "6"}, "max_payload_mb", 6),
        ({}, "allowed_origins", None),
        ({"TS_CORS_ALLOWED_ORIGIN": "none"}, "allowed_origins", ()),
        ({"TS_CORS_ALLOWED_ORIGIN": "*"}, "allowed_origins", ("*",)),
    ],
)
def test_a_variable_becomes_a_setting(
    environment: dict[str, str], field: str, value: object
) -> None:
    assert getattr(read(environment), field) == value
    assert [*warnings(environment)] == []


def test_the_narrower_variable_wins() -> None:
    settings = read(
        {
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "20",
            "SAGEMAKER_TS_RESPONSE_TIMEOUT": "90",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
            "SAGEMAKER_TS_MAX_WORKERS": "4",
        }
    )
    assert settings.response_timeout == 90
    assert (settings.min_workers, settings.max_workers) == (2, 4)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SAGEMAKER_BIND_TO_PORT": "http"}, "SAGEMAKER_BIND_TO_PORT is 'http'.*from 1 to 65535"),
        ({"SAGEMAKER_SAFE_PORT_RANGE": "20"}, "SAFE_PORT_RANGE is '20'.*FIRST-LAST"),
        ({"SAGEMAKER_SAFE_PORT_RANGE": "30-20"}, "FIRST-LAST"),
        ({"SAGEMAKER_MULTI_MODEL": "yes"}, "true or false"),
        ({"SAGEMAKER_TS_BATCH_SIZE": "0"}, "from 1"),
        ({"SAGEMAKER_TS_BATCH_SIZE": "1_0"}, "from 1"),
        ({"SAGEMAKER_TS_BATCH_SIZE": "9" * 5000}, "from 1"),
        ({"SAGEMAKER_MODEL_SERVER_WORKERS": "x"}, "^SAGEMAKER_MODEL_SERVER_WORKERS is 'x'; exp"),
        ({"TS_CORS_ALLOWED_ORIGIN": "pages"}, "TS_CORS_ALLOWED_ORIGIN has 'pages', which is no"),
        ({"MARQUEE_MODEL_DIR": "models"}, "MARQUEE_MODEL_DIR is 'models'; expected the path"),
        ({"MARQUEE_TRUST": "/a.pub,b.pub"}, "MARQUEE_TRUST is '/a.pub,b.pub'; expected paths"),
        ({"MARQUEE_MODEL_NAME": "a..b"}, "MARQUEE_MODEL_NAME is 'a..b'; expected the name"),
        ({"SAGEMAKER_TS_MIN_WORKERS": "3", "SAGEMAKER_TS_MAX_WORKERS": "2"}, "no larger"),
    ],
)
def test_a_value_that_cannot_be_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(MarqueeError, match=message):
        read(environment)


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        ("SAGEMAKER_TS_BATCHSIZE", "4", "SAGEMAKER_TS_BATCHSIZE is not known here"),
        ("TS_MAX_REQUESTS", "4", "TS_MAX_REQUESTS is not known here"),
        ("TS_INFERENCE_ADDRESS", "http://0.0.0.0:1", "SAGEMAKER_BIND_TO_PORT is the port"),
        ("TS_JOB_QUEUE_SIZE", " ", "TS_JOB_QUEUE_SIZE is empty and counts as not set"),
        ("SAGEMAKER_PROGRAM", "", "SAGEMAKER_PROGRAM is empty and counts as not set"),
    ],
)
def test_what_has_no_effect_is_told_by_name(name: str, value: str, warning: str) -> None:
    environ = {name: value, "PATH": "/bin", "SAGEMAKER_REGION": "eu-central-1"}
    (only,) = warnings(environ)
    assert warning in only
    assert read(environ) == read({})


@pytest.mark.parametrize(
    "address", ["s3://b/sourcedir.tar.gz", "file:///home/me/code", "file://code", "code"]
)
def test_an_address_of_code_is_passed_over_as_by_awss_toolkit(address: str) -> None:
    environ = {"SAGEMAKER_SUBMIT_DIRECTORY": address}
    assert read(environ) == read({})
    (warning,) = warnings(environ)
    assert f"{address!r}, no folder in the container, and has no effect" in warning


def test_torchserve_gets_its_own_variables_and_no_blanks() -> None:
    environment = {
        "TS_MAX_REQUEST_SIZE": "1000",
        "TS_JOB_QUEUE_SIZE": "",
        "TS_MODEL_STORE": "/evil",
        "HOME": "/root",
    }
    kept = {"TS_MAX_REQUEST_SIZE": "1000", "HOME": "/root"}
    assert inherited(environment) == kept


def test_the_page_lists_every_variable() -> None:
    page = (ROOT / "docs" / "container.md").read_text(encoding="utf-8")
    names = [*fields_of_variables(), *OURS]
    assert [name for name in names if f"`{name}`" not in page] == []
    schema = json.loads((ROOT / "schemas" / "container.schema.json").read_text())
    assert {*schema["properties"]} == {*fields_of_variables()}
    assert not TORCHSERVE & {*fields_of_variables(), *OURS}
