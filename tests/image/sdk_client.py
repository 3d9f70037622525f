"""Send requests by the SageMaker SDK's serializers: sdk_client.py URL. Runs in the SDK's Python."""

import io
import json
import sys
import urllib.request
from typing import Any

import numpy as np
from sagemaker.core import deserializers, serializers


def ask(serializer: Any, deserializer: Any, data: Any) -> Any:
    """Send ``data`` as a predictor of the SDK would, and read the answer as it would."""
    body = serializer.serialize(data)
    accept = deserializer.ACCEPT[0]
    headers = {"Content-Type": serializer.CONTENT_TYPE, "Accept": accept}
    raw = body if isinstance(body, bytes) else body.encode()
    request = urllib.request.Request(sys.argv[1], raw, headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return deserializer.deserialize(io.BytesIO(answer.read()), answer.headers["Content-Type"])


def main() -> None:
    """Print what came back, by the serializer's name."""
    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    to_json, from_json = serializers.JSONSerializer(), deserializers.JSONDeserializer()
    identity = serializers.IdentitySerializer(content_type="application/json")
    text, raw = deserializers.StringDeserializer(), deserializers.BytesDeserializer()
    text.accept, raw.accept = "application/json", "application/json"
    arrays = serializers.NumpySerializer(), deserializers.NumpyDeserializer()
    found = {
        "json": ask(to_json, from_json, numbers.tolist()),
        "csv": ask(serializers.CSVSerializer(), deserializers.CSVDeserializer(), [[1.0, 2.0]]),
        "numpy": np.asarray(ask(*arrays, numbers)).tolist(),
        "identity": ask(identity, text, b"[1.0, 2.0]"),
        "bytes": ask(identity, raw, b"[1.0, 2.0]").decode(),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
