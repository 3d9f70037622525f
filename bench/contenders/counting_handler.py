"""The least that a TorchServe handler can do: count what comes, or answer with so many zeros."""

import json

from bench.contenders.wide_handler import SIDE

ANSWER = bytes(3 * SIDE * SIDE)


class CountingHandler:
    def initialize(self, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        pass

    def handle(self, rows, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        if context.get_request_header(0, "X-Times"):
            return [ANSWER * int(context.get_request_header(0, "X-Times"))] * len(rows)
        return [json.dumps({"bytes": len(next(iter(row.values())))}) for row in rows]
