"""Batch transform: a job that asks the model about every file below an ``s3://`` prefix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from marquee.errors import MarqueeError
from marquee.sagemaker.account import Account, Answer, Call
from marquee.sagemaker.capacity import Instances
from marquee.sagemaker.deploy import make_parts, parts, reads_of_parts
from marquee.sagemaker.endpoints import MODEL, SAGEMAKER
from marquee.sagemaker.hosting import Hosting
from marquee.sagemaker.instances import transform_ami
from marquee.sagemaker.values import check, check_key, given, split_s3

JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
LOG_GROUP = "/aws/sagemaker/TransformJobs"
BUSY = ("InProgress", "Stopping")
# Bounds of CreateTransformJob: of all requests in flight together, and of its variables.
MOST_MB = 100
MOST_VARIABLES = 16


@dataclass(frozen=True)
class Transform:
    """A batch transform job, and the model that it asks.

    What is None is left to the container's ``/execution-parameters``, or to SageMaker.

    Attributes:
        name: the job's, new each time.
        hosting: the model, as an endpoint has it, and the instances in its only variant.
        source, target: ``s3://`` prefixes of the files and of the answers.
        content_type, accept: media types of each request and of its answer.
        split: ``Line`` for a request a line, ``None`` for one a file.
        strategy: ``SingleRecord`` or ``MultiRecord``: as many lines as fit into a request.
        assemble: ``Line`` ends each answer with a line break in its file.
        max_payload: of a request, in MB (10^6 bytes); 0 is no bound, and sends in chunks.
        concurrent: requests that an instance gets at once.
        seconds, retries: of a request: how long it may take, and how often it is tried again.
        environment: of the container, beside the model's own.
        output_key: KMS key of the answers.
    """

    name: str
    hosting: Hosting
    source: str
    target: str
    content_type: str | None = None
    accept: str | None = None
    split: str = "None"
    strategy: str | None = None
    assemble: str = "None"
    max_payload: int | None = None
    concurrent: int | None = None
    seconds: int | None = None
    retries: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    output_key: str | None = None

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse after the upload, or after the instances have started."""
        expected = "up to 63 letters, digits and single dashes inside (name it with --name)"
        check("the job's name", self.name, JOB_NAME, expected)
        split_s3(self.source, "the input")
        split_s3(self.target, "the output")
        check_key("--output-kms-key", self.output_key)
        transform_ami(self.instances.kind, self.instances.ami)
        if self.strategy == "MultiRecord" and self.split == "None":
            raise MarqueeError(
                "--strategy MultiRecord puts several lines into a request; expected --split Line "
                "with it"
            )
        self._check_bounds()

    def _check_bounds(self) -> None:
        at_once, most = self.concurrent or 1, self.max_payload or 0
        if at_once * most > MOST_MB:
            raise MarqueeError(
                f"--max-concurrent {at_once} with --max-payload {most} is {at_once * most} MB; "
                f"SageMaker takes at most {MOST_MB} for all requests at once"
            )
        if len(self.environment) > MOST_VARIABLES:
            raise MarqueeError(
                f"--env was said {len(self.environment)} times; expected at most {MOST_VARIABLES} "
                "for a batch transform"
            )

    @property
    def instances(self) -> Instances:
        """What the job runs on."""
        capacity = self.hosting.variants[0].capacity
        if not isinstance(capacity, Instances):
            raise MarqueeError("a batch transform is not serverless; give its variant Instances")
        return capacity

    def request(self) -> dict[str, Any]:
        """Return the parameters of ``CreateTransformJob``."""
        (model,) = self.hosting.model_requests()
        client = given(InvocationsTimeoutInSeconds=self.seconds, InvocationsMaxRetries=self.retries)
        more = given(
            BatchStrategy=self.strategy,
            MaxPayloadInMB=self.max_payload,
            MaxConcurrentTransforms=self.concurrent,
            ModelClientConfig=client or None,
            Environment=dict(sorted(self.environment.items())) or None,
        )
        return {
            "TransformJobName": self.name,
            "ModelName": model,
            "TransformInput": self._input(),
            "TransformOutput": self._output(),
            "TransformResources": self._resources(),
        } | (more | self.hosting.tagging)

    def _input(self) -> dict[str, Any]:
        files = {"S3DataType": "S3Prefix", "S3Uri": self.source}
        source = {"DataSource": {"S3DataSource": files}, "SplitType": self.split}
        return source | given(ContentType=self.content_type)

    def _output(self) -> dict[str, Any]:
        target = {"S3OutputPath": self.target, "AssembleWith": self.assemble}
        return target | given(Accept=self.accept, KmsKeyId=self.output_key)

    def _resources(self) -> dict[str, Any]:
        machines = {"InstanceType": self.instances.kind, "InstanceCount": self.instances.count}
        ami = transform_ami(self.instances.kind, self.instances.ami)
        return machines | given(TransformAmiVersion=ami, VolumeKmsKeyId=self.hosting.volume_key)


def dry_run(job: Transform) -> list[Call]:
    """Return the calls of a job whose model is not there yet."""
    return [
        *reads_of_parts(job.hosting, [MODEL]),
        *parts(job.hosting, kinds=[MODEL]),
        _creation(job),
        _completed(job.name),
    ]


def transform(account: Account, job: Transform, *, timeout: float) -> None:
    """Make the model where it is not there, start the job, and wait until it has ended.

    Raises:
        MarqueeError: AWS refused something; the job failed, was stopped, or still runs after
            ``timeout`` seconds.
    """
    make_parts(account, job.hosting, [MODEL])
    account.make_all([_creation(job)])
    try:
        account.make_all([_completed(job.name)], timeout)
    except KeyboardInterrupt:
        account.report(f"The job {job.name} runs on, and is paid for; {_stopping(job.name)}")
        raise


def dry_stop(name: str) -> list[Call]:
    """Return the calls of :func:`stop`."""
    return [_stop(name), _described(name)]


def stop(account: Account, name: str, *, timeout: float) -> str:
    """Stop a job, wait until it has ended, and return how: what it has written stays.

    Raises:
        MarqueeError: there is no such job, or it has ended already; or it goes on all the same.
    """

    def pending(answer: Answer) -> str:
        status = str(answer["TransformJobStatus"])
        return f"{name} is {status}" if status in BUSY else ""

    late = f"the job {name} still runs after {{seconds}} s; run the same command again"
    ended = account.make_all(
        [_stop(name), replace(_described(name), pending=pending, late=late)], timeout
    )
    return str(ended["TransformJobStatus"])


def _stop(name: str) -> Call:
    check("the job's name", name, JOB_NAME, "what transform has printed")
    return Call(SAGEMAKER, "StopTransformJob", {"TransformJobName": name}, f"Stopping {name}")


def _creation(job: Transform) -> Call:
    return Call(SAGEMAKER, "CreateTransformJob", job.request(), f"Starting the job {job.name}")


def _described(name: str) -> Call:
    return Call(SAGEMAKER, "DescribeTransformJob", {"TransformJobName": name})


def _completed(name: str) -> Call:
    """Return the call that waits until the job has done all, and fails where it has not."""

    def pending(answer: Answer) -> str:
        status = answer["TransformJobStatus"]
        if status in BUSY:
            started = "" if "TransformStartTime" in answer else ", its instances start"
            return f"{name} is {status}{started}"
        if status != "Completed":
            raise MarqueeError(f"the job {name} is {status}: {_reason(answer)}; {_logs(name)}")
        return ""

    late = f"the job {name} still runs after {{seconds}} s and goes on; {_stopping(name)}"
    return replace(_described(name), pending=pending, late=late)


def _reason(answer: Answer) -> str:
    reason = " ".join(str(answer.get("FailureReason", "")).split()).rstrip(".")
    written = answer.get("TransformOutput", {}).get("S3OutputPath", "the output")
    return reason or f"somebody stopped it, and what it has written stays in {written}"


def _logs(name: str) -> str:
    return (
        f"its log: aws logs tail {LOG_GROUP} --log-stream-name-prefix {name}/ --since 1d (what the "
        "model answered to a file stands in the stream that ends with data-log)"
    )


def _stopping(name: str) -> str:
    return f"stop it with: marquee sagemaker stop-transform {name}"
