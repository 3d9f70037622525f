"""One cluster of three nodes for all tests of Ray, which run in one worker."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import ROOT, check_mark

FIXED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Other tests may fill the memory of this machine, of which these nodes are but a part.
    "RAY_memory_monitor_refresh_ms": "0",
    # As in a cluster of our own: other tests beside these do not give way.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    # A node that was killed is missed soon.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}


@dataclass
class Nodes:
    """A cluster whose nodes can be killed, but for its head.

    Attributes:
        others: ids of the nodes besides the head.
    """

    address: str
    others: list[str]
    process: subprocess.Popen[str]

    def kill(self, node: str) -> None:
        """Kill a node that is not the head, as if it lost its power."""
        self._say(node)

    def add(self) -> None:
        """Add a node."""
        self._say("")

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A cluster of three nodes, for whoever kills one."""
    check_mark()
    # Short: Ray has Unix sockets in it.
    with tempfile.TemporaryDirectory(prefix="mq-ray-", dir="/tmp") as folder:
        token = Path(folder) / "token"
        token.write_text(secrets.token_hex(32))
        own = FIXED | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        os.environ |= own  # for the servers that join it
        # Where it writes down which cluster is the machine's: no other's.
        (Path(folder) / "ray").mkdir()
        command = [sys.executable, "-m", "tests.ray.nodes", folder]
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "RAY_TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with started as process:
            assert process.stdin is not None
            assert process.stdout is not None
            address, *others = process.stdout.readline().split()
            yield Nodes(address, others, process)
            process.stdin.close()
            process.wait(60)
        for name in own:
            del os.environ[name]


@pytest.fixture(scope="session")
def cluster(nodes: Nodes) -> str:
    """The address of a cluster of three nodes."""
    return nodes.address
