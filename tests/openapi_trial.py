"""A server's OpenAPI document, tried by schemathesis: random requests, and every answer as it says.

What is generated follows the document, except that a picture is one: no schema says what that is.
"""

from __future__ import annotations

import base64
import copy
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from marquee.openapi.bodies import IMAGES, NPY

# What is not asked, and why.
EXCLUDED = {
    # Numbers may come as text, and what other servers' clients send is read besides.
    "negative_data_rejection",
    # A picture may have too few pixels, an array the wrong shape: no schema tells.
    "positive_data_acceptance",
    # TorchServe answers predictions to any method.
    "unsupported_method",
    # Its answer to a missing key is a 400; tests/front/test_requests.py holds it.
    "ignored_auth",
    "missing_required_header",
}
SECONDS = 60
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@dataclass
class Trial:
    """What came of it.

    Attributes:
        statuses: how often each was answered, by operation.
        failures: what was not as the document says.
    """

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(sum(counts.values()) for counts in self.statuses.values())


def cheaper(document: Mapping[str, Any], **most: int) -> dict[str, Any]:
    """Return a copy in which some parameters have a lower maximum: what takes long is no trial."""
    made = copy.deepcopy(dict(document))
    for path in made["paths"].values():
        for parameter in path.get("post", {}).get("parameters", ()):
            name = parameter["name"].removeprefix("X-Marquee-").lower()
            if name in most:
                parameter["schema"]["maximum"] = most[name]
                parameter["schema"].pop("default", None)
    return made


def tried(
    document: Mapping[str, Any], address: str, key: str, *, examples: int, number: int = 1
) -> Trial:
    """Send random requests to every operation, the same ones for the same ``number``.

    Args:
        examples: requests of an operation, well-formed, and as many that are not.
    """
    _register()
    trial = Trial()
    schema = schemathesis.openapi.from_dict(dict(document))
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {key}"
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]  # the document is valid
            counts = trial.statuses[operation.label] = Counter()
            for mode in MODES:
                trial.failures += _failures(
                    operation,
                    mode,
                    session=session,
                    address=address,
                    counts=counts,
                    examples=examples,
                    number=number,
                )
    return trial


def _failures(
    operation: Any,
    mode: Any,
    *,
    session: requests.Session,
    address: str,
    counts: Counter[int],
    examples: int,
    number: int,
) -> Iterator[str]:
    load_all_checks()
    checks = [one for one in CHECKS.get_all() if one.__name__ not in EXCLUDED]

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(base_url=address, session=session, timeout=SECONDS)
        counts[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as group:
            sent = f"{answer.request.headers} {str(answer.request.body)[:200]}"
            found.update(
                f"{operation.label}: {one}, {answer.status_code} {answer.text[:200]} to {sent}"
                for one in group.exceptions
            )

    found: set[str] = set()
    try:
        ask()
    except Unsatisfiable:
        # Where there is nothing to say, nothing can be said wrongly.
        if mode is not schemathesis.GenerationMode.NEGATIVE:
            raise
    yield from sorted(found)


def _register() -> None:
    """Tell schemathesis what files and base64 are."""
    pictures = st.sampled_from([_picture(8, 6), _picture(40, 33), b"no picture"])
    for kind in IMAGES:
        schemathesis.openapi.media_type(kind, pictures)
    schemathesis.openapi.media_type(NPY, st.sampled_from([_array(3, 32, 32), _array(2, 2)]))
    texts = [base64.b64encode(_picture(8, 6)).decode(), "no base64 !"]
    schemathesis.openapi.format("byte", st.sampled_from(texts))


def _picture(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def _array(*shape: int) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.full(shape, 7, np.uint8))
    return stream.getvalue()
