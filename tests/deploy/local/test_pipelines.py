"""The five pipelines, and the commands around them, on a running cloud."""

from __future__ import annotations

import base64
import io
import json
import re

import httpx
import numpy as np
from PIL import Image

from deploy.local import state
from examples import pipelines
from tests.deploy.local.support import UpCloud, eventually, example


def test_the_demo_shows_five_pictures_and_the_times(cloud: UpCloud) -> None:
    shown = cloud.command("cloud", "demo", "-o", "shown")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    pictures = {path.name for path in (cloud.project.root / "shown").glob("*.png")}
    assert pictures == {f"{name}.png" for name in pipelines.PIPELINES}
    assert "ship" in shown.stdout
    assert re.search(r"model\s+[│\n ]*0\.\d\d", shown.stdout)


def test_the_demo_fails_with_the_reason_of_the_pipeline_that_fails(cloud: UpCloud) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="marquee-cifar-vgg11")
    try:
        shown = cloud.command("cloud", "demo", "-o", "failed")
    finally:
        sagemaker.create_endpoint(
            EndpointName="marquee-cifar-vgg11",
            EndpointConfigName="marquee-CifarVgg11EndpointConfig",
        )
    assert shown.returncode == 1
    assert "cifar failed: POST /classify answered 503" in shown.stdout
    assert "the original and 4 ages" in shown.stdout


def test_a_second_cloud_of_a_project_is_refused(cloud: UpCloud) -> None:
    refused = cloud.command("cloud", "up")
    assert refused.returncode == 1
    assert "runs already" in refused.stderr


def test_cloudformation_tells_the_stacks_outputs(cloud: UpCloud) -> None:
    [known] = cloud.client("cloudformation").describe_stacks(StackName="marquee")["Stacks"]
    told = {one["OutputKey"]: one["OutputValue"] for one in known["Outputs"]}
    assert told == cloud.known.outputs
    assert told["ApiUrl"] == cloud.known.api_url


def test_the_state_is_its_owners_alone(cloud: UpCloud) -> None:
    assert state.path(cloud.project).stat().st_mode & 0o777 == 0o600


def test_env_prints_what_programs_need(cloud: UpCloud) -> None:
    printed = cloud.command("cloud", "env").stdout
    assert f"export AWS_ENDPOINT_URL={cloud.known.address}\n" in printed
    assert f"export MARQUEE_API_KEY={cloud.known.api_key}" in printed


def test_the_key_is_in_no_log(cloud: UpCloud) -> None:
    with cloud.api() as api:
        assert api.post("/jobs", json={}).status_code == 201
    logs = [path for path in cloud.project.logs.rglob("*") if path.is_file()]
    logs.append(cloud.project.root / "up.txt")
    assert logs
    assert not [path for path in logs if cloud.known.api_key in path.read_text(errors="replace")]


def test_cifars_raw_bytes_are_classified_as_the_originals_app_sends_them(cloud: UpCloud) -> None:
    picture = Image.open(example("cifar")).convert("RGB").resize((32, 32))
    planes = np.asarray(picture).transpose(2, 0, 1).tobytes()
    with cloud.api() as api:
        answer = api.post("/classify", json={"data": base64.encodebytes(planes).decode()})
    assert answer.json()["body"]["label"] == "ship"


def test_a_scene_whose_predictions_are_too_large_comes_as_a_link(cloud: UpCloud) -> None:
    scene = np.full((1000, 1000, 6), 90, np.uint8)
    array = io.BytesIO()
    np.save(array, scene)
    with cloud.api() as api:
        form = api.post("/uploads", json={"file_name": "large.npy"}).json()
        sent = httpx.post(
            form["upload"]["url"],
            data=form["upload"]["fields"],
            files={"file": array.getvalue()},
            trust_env=False,
        )
        assert sent.status_code == 204
        answer = api.post("/infer", json={"file_name": form["file_name"]}).json()
    found = httpx.get(answer["location"]["url"], trust_env=False, timeout=60).json()
    assert np.shape(found["predictions"]) == (1, 1000, 1000, 1)


def test_rotifer_takes_multipart(cloud: UpCloud) -> None:
    with cloud.api() as api:
        answer = api.post("/detect", files={"image": example("rotifer").read_bytes()})
    assert answer.json()["stat"]


def test_a_request_without_the_key_is_refused(cloud: UpCloud) -> None:
    answer = httpx.post(f"{cloud.known.api_url}/classify", json={}, trust_env=False)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_a_job_is_followed_to_its_pictures_over_the_api(cloud: UpCloud) -> None:
    with cloud.api() as api:
        opened = api.post("/jobs", json={"content_type": "image/png"}).json()
        upload = opened["upload"]
        data = {"file": example("timetravel").read_bytes()}
        httpx.post(upload["url"], data=upload["fields"], files=data, trust_env=False)
        cloud.ended(opened["id"])
        job = api.get(opened["job"]).json()
        sent_on = api.get(f"{opened['job']}/results/4")
    assert (job["status"], len(job["results"])) == ("done", 5)
    assert sent_on.status_code == 302
    picture = httpx.get(sent_on.headers["location"], trust_env=False)
    assert picture.headers["content-type"] == "image/jpeg"


INKWASH = """
import io, json, urllib.request
import boto3, numpy
from PIL import Image

def lambda_handler(event, context):
    key = event["Records"][0]["s3"]["object"]["key"]
    name = key.split(".")[0].split("/")[1]
    photo = urllib.request.urlopen("https://s3.amazonaws.com/" + key).read()
    answer = boto3.client("runtime.sagemaker").invoke_endpoint(
        EndpointName="123-456-789", ContentType="image/*", Body=photo)
    rows = numpy.array(json.loads(answer["Body"].read()), dtype=numpy.uint8)
    out = io.BytesIO()
    Image.fromarray(rows).save(out, "JPEG")
    boto3.client("s3").put_object(Bucket="your-bucket", Key="public/output/output_%s.jpeg" % name,
        Body=out.getvalue(), ContentType="image/jpeg", ACL="public-read")
"""


def test_inkwashs_own_function_runs_behind_a_bucket(cloud: UpCloud) -> None:
    s3 = cloud.client("s3")
    for name in ("public", "your-bucket"):
        s3.create_bucket(Bucket=name)
    cloud.endpoint("123-456-789", "inkwash")
    arn = cloud.deploy("inkwash-seed", INKWASH)
    notify = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    photo = example("inkwash").read_bytes()
    # As the code stands, the first part of the key is taken for the bucket.
    s3.put_object(Bucket="public", Key="photo.jpg", Body=photo, ACL="public-read")
    s3.put_bucket_notification_configuration(
        Bucket="public", NotificationConfiguration={"LambdaFunctionConfigurations": [notify]}
    )
    s3.put_object(Bucket="public", Key="public/photo.jpg", Body=photo)
    listed = eventually(lambda: s3.list_objects_v2(Bucket="your-bucket").get("Contents"))
    assert [one["Key"] for one in listed] == ["public/output/output_photo.jpeg"]


CIFAR = """
import base64, json, os
import boto3, numpy

def lambda_handler(event, context):
    pixels = numpy.frombuffer(base64.b64decode(event["data"]), numpy.uint8).reshape(1, 3, 32, 32)
    answer = boto3.client("runtime.sagemaker").invoke_endpoint(
        EndpointName=os.environ["ENDPOINT_NAME"], ContentType="application/json",
        Body=str(pixels.tolist()))
    return {"statusCode": 200, "body": json.loads(answer["Body"].read().decode())}
"""


def test_cifars_own_function_answers_an_invocation(cloud: UpCloud) -> None:
    cloud.deploy("cifar-seed", CIFAR, ENDPOINT_NAME="marquee-cifar-lenet")
    picture = Image.open(example("cifar")).convert("RGB").resize((32, 32))
    data = base64.b64encode(np.asarray(picture).transpose(2, 0, 1).tobytes()).decode()
    answer = cloud.client("lambda").invoke(
        FunctionName="cifar-seed", Payload=json.dumps({"data": data})
    )
    assert json.loads(answer["Payload"].read())["body"]["label"] == "ship"


SMOKE = """
import json
import boto3, numpy

def lambda_handler(event, context):
    body = json.loads(event["body"])
    boto3.client("s3").download_file(body["bucket"], body["file_name"], "/tmp/marquee-test.npy")
    scene = numpy.load("/tmp/marquee-test.npy")
    answer = boto3.client("runtime.sagemaker").invoke_endpoint(
        EndpointName="me-prediction-endpoint", ContentType="application/json",
        Body=json.dumps(scene.tolist()))
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"},
            "body": answer["Body"].read().decode()}
"""


def test_smokes_own_function_reads_what_its_client_has_posted(cloud: UpCloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="smoke-dataset-bucket")
    cloud.endpoint("me-prediction-endpoint", "smoke")
    cloud.deploy("smoke-seed", SMOKE)
    key = "me/inference_images/scene.npy"
    array = io.BytesIO()
    np.save(array, np.full((256, 256, 6), 90, np.uint8))
    form = s3.generate_presigned_post("smoke-dataset-bucket", key)
    assert {"AWSAccessKeyId", "policy", "signature"} <= set(form["fields"])  # version 2
    files = {"file": ("scene.npy", array.getvalue())}
    assert httpx.post(form["url"], data=form["fields"], files=files, trust_env=False).is_success
    event = {"body": json.dumps({"bucket": "smoke-dataset-bucket", "file_name": key})}
    answer = cloud.client("lambda").invoke(FunctionName="smoke-seed", Payload=json.dumps(event))
    body = json.loads(json.loads(answer["Payload"].read())["body"])
    assert np.shape(body["predictions"]) == (1, 256, 256, 1)


def test_cifars_two_endpoints_are_two_versions(cloud: UpCloud) -> None:
    runtime, photo = cloud.client("sagemaker-runtime"), example("cifar").read_bytes()
    shares = [
        json.loads(
            runtime.invoke_endpoint(
                EndpointName=f"marquee-cifar-{network}", ContentType="image/png", Body=photo
            )["Body"].read()
        )["probabilities"]
        for network in ("vgg11", "lenet")
    ]
    # Two networks never agree to the last digit.
    assert shares[0] != shares[1]
