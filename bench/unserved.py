"""An archive's handler without a server: what its requests take in a process of their own.

    python -m bench.unserved FOLDER BODY HEADERS

FOLDER is an unpacked archive, HEADERS a JSON object. Reads lines of `requests, batch` and answers
each with a line of JSON: wall and CPU seconds of all, and the length of the last answer.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.models import load


def main() -> None:
    """Answer lines until there are none."""
    folder, body, headers = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), sys.argv[3]
    handler = load(folder)
    from handlers.runtime.exchange import Exchange  # noqa: PLC0415 - of the archive

    def answered(batch: int) -> int:
        exchanges = [Exchange({"body": body}, json.loads(headers)) for _ in range(batch)]
        handler.answer(exchanges)
        answers = [exchange.answer for exchange in exchanges]
        if any(answer is None or answer.status != 200 for answer in answers):
            sys.exit(str(answers[0]))
        return max(len(answer.body) for answer in answers if answer)

    for line in sys.stdin:
        requests, batch = map(int, line.split())
        start, cpu = time.perf_counter(), time.process_time()
        length = max(answered(batch) for _ in range(requests // batch))
        took = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        print(json.dumps({**took, "length": length}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
