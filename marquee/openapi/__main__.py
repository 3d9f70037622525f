"""Have an unpacked archive describe itself: ``python -m marquee.openapi FOLDER OUT``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from marquee.archives.worker import OfflineWorker, WorkerRequest


def main() -> int:
    """Write the description to OUT; an empty one for a handler that says nothing of itself."""
    folder, out = (Path(word) for word in sys.argv[1:3])
    logging.basicConfig(stream=sys.stderr)
    sys.path.insert(0, str(folder))
    worker = OfflineWorker(folder)
    asked = WorkerRequest({"describe": "True", "explain": "False"}, body=None)
    (reply,) = worker.ask(asked)
    worker.close()
    try:
        said = json.loads(reply.body) if reply.status == 200 else {}
    except ValueError:
        said = {}
    out.write_text(json.dumps(said if isinstance(said, dict) else {}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
