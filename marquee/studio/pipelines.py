"""The asynchronous pipelines: a file goes in, and its results are there some time later.

Three ways, on this machine's cloud or on AWS: the stack's API of jobs (timetravel), its bucket
whose uploads start work (inkwash), and the queue of an asynchronous endpoint.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from marquee.errors import MarqueeError
from marquee.media import type_of_file
from marquee.project import Project
from marquee.sagemaker import endpoints, invoke, localcloud, objects
from marquee.sagemaker.account import Account, Call
from marquee.sagemaker.values import split_s3

SECONDS = 60
LOOPBACK = "127.0.0.1"
LINK_SECONDS = 3600
RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True)
class Result:
    """A file that a job has made: its name, and an address where it is for an hour or so."""

    name: str
    link: str


@dataclass(frozen=True)
class State:
    """How a job is: ``waiting``, ``running``, ``done`` or ``failed``; why; what it has made."""

    word: str
    reason: str = ""
    results: tuple[Result, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.word in (DONE, FAILED)


class Pipeline(Protocol):
    """One of the ways."""

    def submit(self, file: Path, parameters: Mapping[str, str]) -> Any:
        """Send a file, and return what the job is known by.

        Raises:
            MarqueeError: it was refused.
        """

    def look(self, job: Any) -> State:
        """Return how a job is.

        Raises:
            MarqueeError: nobody answers.
        """


@dataclass(frozen=True)
class JobsApi:
    """The stack's ``/jobs``, which timetravel's pipeline answers."""

    url: str
    key: str = field(repr=False)

    def submit(self, file: Path, parameters: Mapping[str, str]) -> str:
        """Open a job, and send its picture by the form that the answer has."""
        body: dict[str, Any] = {"content_type": type_of_file(file)}
        if parameters:
            body["parameters"] = {name: _value(text) for name, text in parameters.items()}
        opened = self._ask("POST", "/jobs", body)
        form = opened["upload"]
        answer = _sent("POST", form["url"], data=form["fields"], files={"file": file.read_bytes()})
        if answer.status_code not in (200, 201, 204):
            raise MarqueeError(f"the upload was answered {answer.status_code}: {_words(answer)}")
        return str(opened["job"])

    def look(self, job: str) -> State:
        """Ask for the job."""
        known = self._ask("GET", job)
        results = (Result(f"{one['n']}.jpg", one["url"]) for one in known["results"])
        return State(known["status"], known.get("reason", ""), tuple(results))

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = _sent(method, f"{self.url}{path}", json=body, headers={"x-api-key": self.key})
        if answer.status_code >= 400:
            raise MarqueeError(f"{method} {path} answered {answer.status_code}: {_words(answer)}")
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True)
class Bucket:
    """inkwash's bucket: what is put into ``public/input/`` is painted into ``public/output/``."""

    account: Account
    name: str

    def submit(self, file: Path, parameters: Mapping[str, str]) -> str:
        """Upload a photo."""
        if parameters:
            raise MarqueeError("inkwash's bucket takes no parameters; leave them away")
        job = uuid.uuid4().hex
        address = f"s3://{self.name}/public/input/{job}{file.suffix}"
        self.account.make(objects.upload(file, address, type_of_file(file)))
        return job

    def look(self, job: str) -> State:
        """Look for the painting, or for why there is none."""
        prefix = f"public/output/output_{job}"
        listed = {"Bucket": self.name, "Prefix": prefix}
        found = self.account.make(Call(objects.S3, "ListObjectsV2", listed)).get("Contents", [])
        keys = [one["Key"] for one in found]
        for key in keys:
            if key.endswith(".error.json"):
                said = self.account.make(objects.fetched(f"s3://{self.name}/{key}"))["Body"].read()
                return State(FAILED, str(json.loads(said)["message"]))
        results = (Result(Path(key).name, _link(self.account, self.name, key)) for key in keys)
        return State(DONE if keys else RUNNING, results=tuple(results))


@dataclass(frozen=True)
class Queue:
    """An asynchronous endpoint, asked as ``marquee sagemaker invoke --async`` asks it."""

    account: Account
    endpoint: str

    def submit(self, file: Path, parameters: Mapping[str, str]) -> invoke.Accepted:
        """Upload the file, and put a request for it into the queue."""
        request = invoke.EndpointRequest(file, type_of_file(file), parameters=parameters)
        return invoke.submit(self.account, self.endpoint, request)

    def look(self, job: invoke.Accepted) -> State:
        """Look for the answer's object, or the failure's."""
        try:
            answer = invoke.look(self.account, job)
        except invoke.ModelFailed as error:
            return State(FAILED, str(error))
        if answer is None:
            return State(RUNNING)
        bucket, key = split_s3(job.output, "the answer's place")
        return State(DONE, results=(Result(Path(key).name, _link(self.account, bucket, key)),))


def of_local_cloud(project: Project) -> dict[str, Pipeline]:
    """Return the pipelines of this machine's cloud, by what people call them.

    Raises:
        MarqueeError: none runs; how to get it.
    """
    cloud = localcloud.running(project)
    account = Account(address=cloud.address)
    return {
        "timetravel: jobs of the stack's API": JobsApi(cloud.api_url, cloud.api_key),
        "inkwash: the stack's bucket": Bucket(account, cloud.outputs["InkwashBucket"]),
        **_queues(account),
    }


def of_aws(region: str | None, profile: str | None) -> dict[str, Pipeline]:
    """Return the asynchronous endpoints of an account.

    Raises:
        MarqueeError: there are no credentials or no region, or there is no such endpoint.
    """
    found = _queues(Account(region or None, profile or None))
    if not found:
        raise MarqueeError(
            "this account has no asynchronous endpoint in this region; create one: "
            "marquee sagemaker deploy MODEL --async --output s3://BUCKET/PATH"
        )
    return found


def _queues(account: Account) -> dict[str, Pipeline]:
    return {f"endpoint {name}": Queue(account, name) for name in endpoints.queued(account)}


def _link(account: Account, bucket: str, key: str) -> str:
    return account.link(bucket, key, LINK_SECONDS)


def fetch(result: Result) -> bytes:
    """Return a result's bytes.

    Raises:
        MarqueeError: it cannot be had.
    """
    answer = _sent("GET", result.link)
    if answer.status_code != 200:
        raise MarqueeError(f"{result.name} was answered {answer.status_code}: {_words(answer)}")
    return answer.content


def _sent(method: str, url: str, **more: Any) -> httpx.Response:
    # A proxy of the environment leads to AWS, and away from this machine.
    far = urlsplit(url).hostname != LOOPBACK
    try:
        return httpx.request(method, url, timeout=SECONDS, trust_env=far, **more)
    except httpx.HTTPError as error:
        raise MarqueeError(f"nobody answers at {url.partition('?')[0]} ({error})") from error


def _words(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]


def _value(text: str) -> Any:
    """Read a parameter as JSON has it: a number, true or false, a list; a text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
