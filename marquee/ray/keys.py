"""The keys of a Ray server: in TorchServe's file, for whoever may ask and operate.

They do not expire, as behind a front door: the doors in the cluster know them by digest.
"""

from __future__ import annotations

import hmac
import json
import secrets
from hashlib import sha256

from marquee.files import write_private
from marquee.project import Project
from marquee.torchserve.connection import keys_of
from marquee.torchserve.tokens import KINDS

KEY_BYTES = 24


def write(project: Project) -> None:
    """Write the key file, mode 0600; one of a Ray server that was killed keeps its keys.

    So clients of applications that went on without it need no other. Nothing where tokens are off.
    """
    if keys_of(project) is None or _is_ours(project):
        return
    keys = {kind: {"key": secrets.token_urlsafe(KEY_BYTES)} for kind in KINDS}
    write_private(project.key_file, json.dumps(keys, indent=1))


def _is_ours(project: Project) -> bool:
    """Whether the key file is there, and no key in it expires, as TorchServe's do."""
    try:
        keys = json.loads(project.key_file.read_text())
        return all([*keys[kind]] == ["key"] and keys[kind]["key"] for kind in KINDS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def digest(project: Project, kind: str) -> str:
    """Return the SHA-256 of a key, in hex; empty where tokens are off."""
    keys = keys_of(project)
    return "" if keys is None else sha256(keys.get(kind).encode()).hexdigest()


def fits(header: str | None, wanted: str) -> bool:
    """Whether an ``Authorization`` header has the key with this digest; an empty one wants none."""
    if not wanted:
        return True
    scheme, _, key = (header or "").partition(" ")
    found = sha256(key.encode(errors="surrogateescape")).hexdigest()
    return hmac.compare_digest(found, wanted) and scheme == "Bearer"
