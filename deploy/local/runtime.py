"""SageMaker's runtime: ``InvokeEndpoint``, forwarded to the real TorchServe."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass

import httpx
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from deploy.local.account import ACCOUNT, REGION
from deploy.local.clock import Clock
from deploy.local.endpoints import ApiError, Endpoint, Endpoints, invalid
from marquee.errors import MarqueeError
from marquee.torchserve.inference import Inference

# Of a request, and taken for an answer too: what the API's own description says of Body. Newer
# pages of AWS's guide name 25 MB for both, so that it is a setting: the template's parameter.
PAYLOAD_BYTES = 6_291_456
PAYLOAD_PARAMETER = "PayloadBytes"
SECONDS = 60.0
PREFIX = "X-Amzn-SageMaker-"
# What a container gets of a request; SageMaker strips all else.
FORWARDED = (
    "Content-Type",
    "Accept",
    f"{PREFIX}Custom-Attributes",
    f"{PREFIX}Target-Model",
    f"{PREFIX}Inference-Id",
)
_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[a-z0-9-]+)/")


def region_of(request: Request) -> str:
    """Return the region that a request was signed for."""
    found = _SCOPE.search(request.headers.get("Authorization", ""))
    return found["region"] if found else REGION


def error_response(error: ApiError) -> Response:
    """Return an error as the SDK reads it."""
    body = json.dumps({"Message": str(error), **error.more})
    response = Response(body, status=error.status, content_type="application/json")
    response.headers["x-amzn-ErrorType"] = error.kind
    return response


def model_error(variant: str, status: int, message: str) -> ApiError:
    """Return a ModelError: the container answered with anything but success, or not at all."""
    whose = "client" if 400 <= status < 500 else "server"
    return ApiError(
        424,
        "ModelError",
        f'Received {whose} error ({status}) from {variant} with message "{message}". '
        "The log of TorchServe tells more.",
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints",
    )


@dataclass(frozen=True)
class Runtime:
    """Answers invocations.

    Attributes:
        endpoints, inference, clock: which model is asked, by what, and timed by what.
        seconds: that an answer may take.
        payload: bytes that a request, and an answer, may have.
    """

    endpoints: Endpoints
    inference: Inference
    clock: Clock
    seconds: float = SECONDS
    payload: int = PAYLOAD_BYTES

    def invoke(self, request: Request, name: str) -> Response:
        """Answer ``POST /endpoints/<name>/invocations``."""
        try:
            endpoint = self.endpoints.find(name, region_of(request))
            return self._answer(request, endpoint)
        except ApiError as refused:
            return error_response(refused)

    def _answer(self, request: Request, endpoint: Endpoint) -> Response:
        headers, body = request.headers, request.get_data()
        if endpoint.asynchronous is not None:
            raise invalid(f"Endpoint {endpoint.name} is asynchronous; call InvokeEndpointAsync")
        most = f"over {self.payload} ({PAYLOAD_PARAMETER})"
        if len(body) > self.payload:
            words = f"the body has {len(body)} bytes, {most}; send less, or call "
            raise ApiError(413, "413", f"{words}InvokeEndpointAsync of an asynchronous endpoint")
        variant = endpoint.variant(headers.get(f"{PREFIX}Target-Variant"))
        answer = self.forward(endpoint, variant, body, headers, self.seconds)
        if len(answer.content) > self.payload:
            size = len(answer.content)
            raise model_error(variant, 413, f"the answer has {size} bytes, {most}")
        response = Response(answer.content, content_type=answer.headers.get("content-type"))
        response.headers["x-Amzn-Invoked-Production-Variant"] = variant
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        if attributes := answer.headers.get(f"{PREFIX}Custom-Attributes"):
            response.headers[f"{PREFIX}Custom-Attributes"] = attributes
        return response

    def forward(
        self,
        endpoint: Endpoint,
        variant: str,
        body: bytes,
        headers: Headers,
        seconds: float,
    ) -> httpx.Response:
        """Return the model's answer.

        Raises:
            ApiError: as SageMaker says that there is none, or that it is an error.
        """
        target = self.endpoints.target(endpoint, variant, headers.get(f"{PREFIX}Target-Model"))
        kept = {name: headers[name] for name in FORWARDED if name in headers}
        try:
            with self.clock.timed("endpoint", endpoint.name):
                answer = self.inference.predict(
                    target.model, target.version, body, kept, seconds=seconds
                )
        except httpx.TimeoutException as error:
            words = f"Your invocation timed out while waiting for a response from {variant}"
            raise model_error(variant, 0, words) from error
        except (httpx.TransportError, MarqueeError) as error:
            words = f"TorchServe, behind endpoint {endpoint.name}, is not there: {error}"
            raise ApiError(503, "ServiceUnavailable", words) from error
        if not answer.is_success:
            raise model_error(variant, answer.status_code, answer.text)
        return answer
