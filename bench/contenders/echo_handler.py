"""The least that a TorchServe handler can do: take a body, give back an answer of its length."""

import json


class EchoHandler:
    def initialize(self, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        pass

    def handle(self, rows, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        return [json.dumps({"bytes": len(row["body"])}) for row in rows]
