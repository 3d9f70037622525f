"""A handler that does as it is told, for tests: each request's body says what.

``sleep 0.5`` answers after so many seconds, ``raise`` fails, ``exit`` ends the worker, and ``hang``
never answers.
"""

import json
import os
import time
from typing import Any


class Probe:
    """Loads at once, and is no handler of marquee's."""

    def initialize(self, context: Any) -> None:
        self.batch_size = context.system_properties["batch_size"]

    def handle(self, rows: list[dict[str, Any]], context: Any) -> list[str]:
        told = [bytes(row.get("body") or b"").decode().split() for row in rows]
        for words in told:
            if words[:1] == ["raise"]:
                raise ValueError("told to")
            if words[:1] == ["exit"]:
                os._exit(1)
            if words[:1] == ["hang"]:
                time.sleep(600)
            if words[:1] == ["sleep"]:
                time.sleep(float(words[1]))
        return [json.dumps({"pid": os.getpid(), "batch": len(rows)})] * len(rows)
