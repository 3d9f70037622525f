"""Requests to endpoints: what the runtime is sent, and what becomes of its answers."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from handlers.runtime.attributes import HEADER, parameter_items
from handlers.runtime.parameters import Parameter
from handlers.runtime.request import Interface, parse_request
from handlers.runtime.stopwatch import Stopwatch
from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account
from marquee.sagemaker.deploy import deploy
from marquee.sagemaker.endpoints import queued
from marquee.sagemaker.invoke import EndpointRequest, custom_attributes, invoke, invoke_async
from tests.marquee.sagemaker.support import BUCKET, QUEUE, REGION, hosting

OUTPUT, FAILURE = "answers/1.out", "failures/1-error.out"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
    return path


def asked(photo: Path, **more: Any) -> EndpointRequest:
    return EndpointRequest(photo, "image/jpeg", **more)


def put(key: str, body: bytes) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="application/json")


def test_a_real_time_request(account: Account, runtime: Stubber, photo: Path) -> None:
    body = b'{"label":"cat"}'
    answer = {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentType": "application/json"}
    expected = {
        "EndpointName": "painter",
        "Body": b"a photo",
        "ContentType": "image/jpeg",
        "Accept": "application/json",
        "CustomAttributes": "model=cifar;X-Marquee-Top-K=3",
        "InferenceId": "first",
    }
    runtime.add_response("invoke_endpoint", answer, expected)
    question = asked(
        photo,
        accept="application/json",
        parameters={"top_k": "3"},
        model="cifar",
        inference_id="first",
    )
    reply = invoke(account, "painter", question)
    assert (reply.body, reply.content_type) == (body, "application/json")


def test_a_request_names_a_model_or_a_variant(
    account: Account, runtime: Stubber, photo: Path
) -> None:
    answer = {"Body": StreamingBody(io.BytesIO(b""), 0)}
    expected = {"EndpointName": "painter", "Body": b"a photo", "ContentType": "image/jpeg"}
    named = {"TargetModel": "lions.tar.gz", "TargetVariant": "new"}
    runtime.add_response("invoke_endpoint", answer, expected | named)
    invoke(account, "painter", asked(photo, target_model="lions.tar.gz", variant="new"))
    with pytest.raises(MarqueeError, match="--target-model and --variant are for real-time"):
        invoke_async(account, "painter", asked(photo, variant="new", inputs=f"s3://{BUCKET}/in"))


def test_the_models_own_error_is_what_is_told(
    account: Account, runtime: Stubber, photo: Path
) -> None:
    runtime.add_client_error(
        "invoke_endpoint",
        "ModelError",
        "Received client error (422) from primary",
        http_status_code=424,
        modeled_fields={
            "OriginalStatusCode": 422,
            "OriginalMessage": '{"code": 422,\n "message": "no face found"}',
            "LogStreamArn": "arn:aws:logs:eu-west-1:1:log-group:/aws/sagemaker/Endpoints/painter",
        },
    )
    words = r'answered 422: .*"no face found"} \(its log: /aws/sagemaker/Endpoints/painter\)'
    with pytest.raises(MarqueeError, match=words):
        invoke(account, "painter", asked(photo))


def test_an_asynchronous_request(account: Account, runtime: Stubber, photo: Path) -> None:
    deploy(account, hosting(asynchronous=QUEUE))
    place = f"s3://{BUCKET}/marquee-input/painter/first/photo.jpg"
    expected = {
        "EndpointName": "painter",
        "ContentType": "image/jpeg",
        "InferenceId": "first",
        "InputLocation": place,
        "InvocationTimeoutSeconds": 60,
    }
    answer = {"OutputLocation": f"s3://{BUCKET}/{OUTPUT}", "InferenceId": "first"}
    runtime.add_response("invoke_endpoint_async", answer, expected)
    put(OUTPUT, b"[1, 2]")
    request = asked(photo, inference_id="first", request_seconds=60)
    reply = invoke_async(account, "painter", request)
    assert reply.body == b"[1, 2]"
    assert reply.content_type == "application/json"
    assert reply.place == f"s3://{BUCKET}/{OUTPUT}"
    sent = boto3.client("s3", region_name=REGION).get_object(
        Bucket=BUCKET, Key=place.removeprefix(f"s3://{BUCKET}/")
    )
    assert sent["Body"].read() == b"a photo"
    assert sent["ContentType"] == "image/jpeg"


def accepted(runtime: Stubber, **more: str) -> None:
    answer = {"OutputLocation": f"s3://{BUCKET}/{OUTPUT}", "InferenceId": "x"} | more
    runtime.add_response("invoke_endpoint_async", answer)


def test_a_failures_object_is_told(account: Account, runtime: Stubber, photo: Path) -> None:
    accepted(runtime, FailureLocation=f"s3://{BUCKET}/{FAILURE}")
    put(FAILURE, b"out of\nmemory")
    with pytest.raises(
        MarqueeError, match=rf"the model failed: out of memory \(whole in .*{FAILURE}"
    ):
        invoke_async(account, "painter", asked(photo, inputs=f"s3://{BUCKET}/in/"))
    stored = boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET, Prefix="in/")
    (key,) = [one["Key"] for one in stored["Contents"]]
    assert key.endswith("/photo.jpg")


def test_no_answer_in_time(account: Account, runtime: Stubber, photo: Path) -> None:
    accepted(runtime)
    words = "no answer within 0 s .*a failure leaves no trace.*it may still come, to s3://"
    with pytest.raises(MarqueeError, match=words):
        invoke_async(account, "painter", asked(photo, inputs=f"s3://{BUCKET}/in"), timeout=0.05)


def test_a_real_time_endpoint_has_no_queue(account: Account, photo: Path) -> None:
    deploy(account, hosting())
    with pytest.raises(MarqueeError, match="a real-time endpoint; invoke it without --async"):
        invoke_async(account, "painter", asked(photo))


def test_what_cannot_be_sent(photo: Path) -> None:
    with pytest.raises(MarqueeError, match="there is no file"):
        asked(photo.parent / "absent.jpg")
    with pytest.raises(MarqueeError, match="--model is 'a;b'"):
        custom_attributes({}, "a;b")
    with pytest.raises(MarqueeError, match="take 1033 characters and SageMaker passes 1024"):
        custom_attributes({"labels": "x" * 1016})


def test_handlers_read_what_invoke_sends() -> None:
    sent = {"top_k": "3", "ages": "25, 35", "note": "a;b=c%model=x"}
    text = custom_attributes(sent, "cifar")
    assert " " not in text
    assert text.isascii()
    found = parameter_items(f"{text};trace=17", "x-marquee-")
    assert found == {f"x-marquee-{name.replace('_', '-')}": value for name, value in sent.items()}
    assert unquote("25%2C%2035") == "25, 35"


def test_custom_attributes_are_parameters_of_a_request() -> None:
    known = Parameter("size", int, 1, "a size", minimum=1, maximum=9)
    interface = Interface(("image/png",), ("application/json",), (known,))

    def size(**headers: str) -> Any:
        named = {"Content-Type": "image/png"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return parse_request({"body": b"x"}, named, interface, Stopwatch()).parameters["size"]

    attributes = {HEADER.title().replace("-", "_"): "model=a; X-Marquee-Size=7 ;id=1"}
    assert size() == 1
    assert size(**attributes) == 7
    assert size(**attributes, X_Marquee_Size="5") == 5


def test_the_endpoints_with_a_queue_are_known(account: Account) -> None:
    assert queued(account) == []
    deploy(account, hosting(asynchronous=QUEUE))
    assert queued(account) == ["painter"]


def test_a_real_time_endpoint_is_not_among_them(account: Account) -> None:
    deploy(account, hosting())
    assert queued(account) == []


def test_a_link_opens_for_an_hour(account: Account) -> None:
    link = account.link(BUCKET, "a b.jpg", 3600)
    assert "a%20b.jpg" in link
    assert "Expires=" in link


def test_a_cloud_of_this_machine_needs_no_configuration(tmp_path: Path) -> None:
    local = Account(address="http://127.0.0.1:1")
    assert local.link(BUCKET, "a", 60).startswith("http://127.0.0.1:1/")
    with pytest.raises(MarqueeError, match=r"127\.0\.0\.1:1"):
        queued(local)
