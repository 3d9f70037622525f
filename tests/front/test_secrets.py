"""No secret stands in a log, whatever requests are like."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.front.conftest import FRONT, write_settings
from tests.marquee.archives import odd
from tests.support import Running, make_project, serving

API_KEY = "an-api-key-that-nobody-may-read"
# What clients put into requests and would not like to find again.
THEIRS = ("their-own-bearer", "their-password", "their-cookie", "their-body")


@pytest.fixture(scope="module")
def server(haproxy: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server behind its front door, with an API key."""
    project = make_project(tmp_path_factory.mktemp("secrets") / "project")
    odd.mar(project.model_store / "net-2.0.mar", odd.model())
    key = project.root / "api.key"
    key.write_text(API_KEY)
    key.chmod(0o600)
    write_settings(project, api_key_file=str(key))
    with serving(project, *FRONT) as running:
        yield running


def ask(running: Running, secrets: list[str]) -> list[int]:
    """Send requests that are good and bad, with each secret wherever one may stand."""
    statuses = []
    management = running.environment["TS_MANAGEMENT_ADDRESS"]
    with httpx.Client(trust_env=False, timeout=60) as client:
        for secret in [*secrets, *THEIRS]:
            headers = {"Authorization": f"Bearer {secret}", "Cookie": f"session={THEIRS[2]}"}
            for method, url in (
                ("POST", f"{running.inference}/predictions/net"),
                ("POST", f"{running.inference}/predictions/none"),
                ("GET", f"{running.inference}/models/net/../none"),
                ("POST", f"{running.inference}/predictions/net?token={THEIRS[1]}"),
                ("PUT", f"{running.inference}/predictions/n%00t"),
                ("GET", f"{management}/models"),
                ("GET", f"{management}/models/none"),
                ("POST", f"{management}/models?url=none.mar"),
                ("GET", f"{management}/token?type=inference"),
            ):
                body = THEIRS[3] if method != "GET" else None
                statuses.append(
                    client.request(method, url, headers=headers, content=body).status_code
                )
    return statuses


def test_no_secret_stands_in_a_log(server: Running) -> None:
    content = json.loads(server.project.key_file.read_text())
    own = [one["key"] for one in content.values() if isinstance(one, dict)]
    statuses = ask(server, [*own, API_KEY])
    assert {200, 400, 404} <= {*statuses}, statuses
    logs = [*server.project.logs.rglob("*"), server.output]
    texts = {path: path.read_text(errors="replace") for path in logs if path.is_file()}
    assert len(texts) > 3
    assert "/predictions/net" in "".join(texts.values())
    secrets = [*own, API_KEY, *THEIRS]
    found = [
        (path.name, secret) for path, text in texts.items() for secret in secrets if secret in text
    ]
    assert found == []
