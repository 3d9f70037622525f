"""What the front door answers by itself: TorchServe's shape, and its names where it has one."""

from __future__ import annotations

import json
from dataclasses import dataclass

from marquee.front.settings import FrontSettings

NO_KEY = (
    "Token Authorization failed. Token either incorrect, expired, or not provided: send "
    "'Authorization: Bearer <{} token>'; marquee token prints it"
)


@dataclass(frozen=True)
class Refusal:
    """An error's answer.

    Attributes:
        status, type: HTTP's number, and TorchServe's kind.
        message: what was wrong and what to do; ``{settings.NAME}`` is filled in.
        formatted: whether HAProxy replaces ``%[...]`` for each request.
    """

    status: int
    type: str
    message: str
    formatted: bool = False

    def json(self, settings: FrontSettings) -> str:
        """Return the answer, as it may stand between single quotes of the configuration."""
        message = self.message.format(settings=settings)
        text = json.dumps({"code": self.status, "type": self.type, "message": message})
        return text.replace("'", "\\u0027")


# In place of HAProxy's own pages. What is not even HTTP gets HAProxy's own 400 (or 408), which no
# setting changes.
ERRORS = (
    Refusal(400, "BadRequestException", "this is no HTTP request that can be read"),
    Refusal(
        408, "RequestTimeoutException", "the request did not arrive in time; send it again, faster"
    ),
    Refusal(500, "InternalServerException", "the front door failed; its log has the reason"),
    Refusal(502, "BadGatewayException", "the model server closed the connection; try again"),
    Refusal(
        503, "ServiceUnavailableException", "the model server does not take requests; try again"
    ),
    Refusal(504, "GatewayTimeoutException", "the model did not answer in time; ask for less"),
)

REFUSALS = {
    "draining": Refusal(
        503, "ServiceUnavailableException", "the server is about to stop; ask another one"
    ),
    "inference_key": Refusal(400, "InvalidKeyException", NO_KEY.format("inference")),
    "management_key": Refusal(400, "InvalidKeyException", NO_KEY.format("management")),
    "too_large": Refusal(
        413,
        "RequestEntityTooLargeException",
        "the request is larger than {settings.max_request_size} bytes; send a smaller one, or "
        "raise max_request_size in config.properties (TS_MAX_REQUEST_SIZE)",
    ),
    "too_large_for_model": Refusal(
        413,
        "RequestEntityTooLargeException",
        "the request is larger than %[var(txn.most)] bytes, which is all that %[var(txn.model)] "
        "takes here; send a smaller one, or raise max_request_sizes in config/front.yaml",
        formatted=True,
    ),
    "no_length": Refusal(
        411,
        "LengthRequiredException",
        "%[var(txn.model)] takes %[var(txn.most)] bytes at most, and the request does not say how "
        "many it has; send it with Content-Length rather than in chunks",
        formatted=True,
    ),
    "no_form": Refusal(
        415,
        "UnsupportedMediaTypeException",
        "the body is said to be a web form, which it is not: curl says so of --data-binary unless "
        "told otherwise; send a file with -T FILE, or add its type: -H Content-Type:image/jpeg",
    ),
    "broken_form": Refusal(
        400,
        "BadRequestException",
        "the form in the body cannot be read; send all of it, as multipart/form-data with its "
        "boundary in Content-Type, and a name in the Content-Disposition of each part",
    ),
    # TorchServe says "Worker died." of both: 507 where it knows that the process was killed.
    "worker_killed": Refusal(
        507,
        "InternalServerException",
        "the model's worker was killed while it had this request, most often because memory ran "
        "out; send less at a time, or give the server more memory",
    ),
    "worker_ended": Refusal(
        500,
        "InternalServerException",
        "the model's worker ended while it had this request: it failed, memory ran out, or it "
        "took longer than its responseTimeout; the server's log has the reason",
    ),
    "no_model_named": Refusal(
        400,
        "BadRequestException",
        "/invocations does not say which model, and there is no default: add ?model=NAME, or the "
        "header X-Amzn-SageMaker-Custom-Attributes: model=NAME, or set default_model "
        "(SAGEMAKER_DEFAULT_MODEL in the container); the models are: "
        "%[str(listed),map({settings.folder}/names.map,none)]",
        formatted=True,
    ),
    "odd_name": Refusal(
        404,
        "ModelNotFoundException",
        "there is no such model: names and versions are of letters, digits and _ - . only",
    ),
    "not_loaded": Refusal(404, "ModelNotFoundException", "the model of this path is not loaded"),
    "no_renewal": Refusal(
        400, "BadRequestException", "tokens behind the front door are not renewed: they last"
    ),
    "unknown_origin": Refusal(
        403,
        "ForbiddenException",
        "pages of this origin may not ask here; allowed_origins in config/front.yaml "
        "(TS_CORS_ALLOWED_ORIGIN in the container) names those that may",
    ),
}
