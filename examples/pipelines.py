"""The five pipelines from a client's side: the example goes in, a picture comes out.

Each raises :class:`MarqueeError` with the pipeline's own reason when it fails.
"""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from deploy.local import account
from deploy.local.state import RunningCloud
from handlers.smoke.geotiff import read_geotiff
from handlers.smoke.overlay import overlay
from marquee.errors import MarqueeError
from marquee.interrupts import until
from marquee.project import Project

WAIT_SECONDS = 180
# What smoke's scenes are made of: bands and a mask, see docs/models/smoke.md.
SCENE_BANDS, SCENE_PIXELS = (6, 7), 16_777_216


@dataclass(frozen=True)
class PipelineAnswer:
    """What a pipeline answered.

    Attributes:
        words: the answer in a line.
        picture: to look at.
    """

    words: str
    picture: Image.Image


class Client:
    """A client of the running cloud's API and buckets."""

    def __init__(self, project: Project, cloud: RunningCloud) -> None:
        self.outputs = cloud.outputs
        self.s3 = account.client("s3", cloud.address)
        self._project = project
        self._api = httpx.Client(
            base_url=cloud.api_url,
            headers={"x-api-key": cloud.api_key},
            timeout=60,
            trust_env=False,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def example(self, model: str) -> Path:
        """Return a model's example.

        Raises:
            MarqueeError: the project has none.
        """
        found = sorted((self._project.handlers / model).glob("example.*"))
        if not found:
            raise MarqueeError(f"{self._project.handlers / model} has no example.* to send")
        return found[0]

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the API's answer.

        Raises:
            MarqueeError: it is an error.
        """
        answer = self._api.request(method, path, json=body)
        if answer.status_code >= 400:
            raise MarqueeError(f"{method} {path} answered {answer.status_code}: {_words(answer)}")
        found: dict[str, Any] = answer.json()
        return found

    def send(self, form: Mapping[str, Any], data: bytes) -> None:
        """Upload by a presigned form.

        Raises:
            MarqueeError: it was refused.
        """
        answer = httpx.post(
            form["url"], data=form["fields"], files={"file": data}, timeout=60, trust_env=False
        )
        if answer.status_code not in (200, 201, 204):
            raise MarqueeError(f"the upload was answered {answer.status_code}: {_words(answer)}")


def _words(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def wait(look: Callable[[], Any], what: str) -> Any:
    """Return what ``look`` finds, once it does.

    Raises:
        MarqueeError: it does not within three minutes.
    """
    found = until(look, WAIT_SECONDS)
    if not found:
        raise MarqueeError(f"{what} has not come after {WAIT_SECONDS} s; see logs/cloud")
    return found


def cifar(client: Client) -> PipelineAnswer:
    """Classify the example over the API."""
    data = client.example("cifar").read_bytes()
    answer = client.ask("POST", "/classify", {"image": base64.b64encode(data).decode()})
    label = answer["label"]
    share = answer["probabilities"][label]
    picture = Image.open(io.BytesIO(data)).convert("RGB").resize((256, 256))
    return PipelineAnswer(f"{label}, {share:.1%}", picture)


def inkwash(client: Client) -> PipelineAnswer:
    """Put the example into the bucket, and fetch its painting."""
    bucket, name = client.outputs["InkwashBucket"], uuid.uuid4().hex
    photo = client.example("inkwash")
    client.s3.put_object(
        Bucket=bucket, Key=f"public/input/{name}{photo.suffix}", Body=photo.read_bytes()
    )

    def painting() -> bytes | None:
        listed = client.s3.list_objects_v2(Bucket=bucket, Prefix=f"public/output/output_{name}")
        for one in listed.get("Contents", []):
            data: bytes = client.s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            if one["Key"].endswith(".error.json"):
                raise MarqueeError(json.loads(data)["message"])
            return data
        return None

    picture = Image.open(io.BytesIO(wait(painting, "the painting")))
    return PipelineAnswer(f"painting, {picture.width} x {picture.height}", picture)


def rotifer(client: Client) -> PipelineAnswer:
    """Detect over the API; the answer brings the picture with its boxes."""
    data = client.example("rotifer").read_bytes()
    answer = client.ask("POST", "/detect", {"image": base64.b64encode(data).decode()})
    counts = ", ".join(f"{count} {name}" for name, count in answer["stat"].items() if count)
    return PipelineAnswer(
        counts or "nothing", Image.open(io.BytesIO(base64.b64decode(answer["img"])))
    )


def smoke(client: Client) -> PipelineAnswer:
    """Upload the example as an array by a form, and ask where there is smoke."""
    scene = read_geotiff(
        client.example("smoke").read_bytes(), max_pixels=SCENE_PIXELS, bands=SCENE_BANDS
    )[..., :6]
    array = io.BytesIO()
    np.save(array, scene)
    opened = client.ask("POST", "/uploads", {"file_name": f"{uuid.uuid4().hex}.npy"})
    client.send(opened["upload"], array.getvalue())
    answer = client.ask("POST", "/infer", {"file_name": opened["file_name"]})
    if "location" in answer:  # too large for the gateway
        answer = httpx.get(answer["location"]["url"], timeout=60, trust_env=False).json()
    found = np.asarray(answer["predictions"], np.float32)[0, ..., 0]
    picture = Image.fromarray(overlay(scene, found))
    return PipelineAnswer(f"smoke on {(found >= 0.5).mean():.1%} of the scene", picture)


def timetravel(client: Client) -> PipelineAnswer:
    """Open a job, upload the example, wait for the job and fetch its pictures."""
    face = client.example("timetravel")
    # The example is a face cut out already.
    asked = {"content_type": "image/png", "parameters": {"align": False}}
    opened = client.ask("POST", "/jobs", asked)
    client.send(opened["upload"], face.read_bytes())

    def ended() -> dict[str, Any] | None:
        job = client.ask("GET", opened["job"])
        return job if job["CompletionStatus"] != 0 else None

    job = wait(ended, "the job's end")
    if job["CompletionStatus"] != 1:
        raise MarqueeError(job.get("reason", "the job failed without a reason"))
    pictures = [_fetch(one["url"]) for one in job["results"]]
    return PipelineAnswer(f"the original and {len(pictures) - 1} ages", side_by_side(pictures))


def _fetch(url: str) -> Image.Image:
    answer = httpx.get(url, timeout=60, trust_env=False)
    answer.raise_for_status()
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Return pictures of the same height in a row."""
    strip = Image.new("RGB", (sum(one.width for one in pictures), pictures[0].height))
    left = 0
    for one in pictures:
        strip.paste(one, (left, 0))
        left += one.width
    return strip


PIPELINES: Mapping[str, Callable[[Client], PipelineAnswer]] = {
    "cifar": cifar,
    "inkwash": inkwash,
    "rotifer": rotifer,
    "smoke": smoke,
    "timetravel": timetravel,
}
