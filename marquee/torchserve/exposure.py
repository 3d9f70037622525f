"""Who can reach what: addresses beyond this machine, and what that risks."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

RISKS = {
    "management_address": "whoever reaches it and has the management token can run code here, "
    "as registering an archive does; the token travels unencrypted",
    "metrics_address": "whoever reaches it reads model names, versions and load, as metrics need "
    "no token",
    "grpc_management_address": "whoever reaches it and has the management token can run code here",
}
UNGUARDED = "tokens are turned off: whoever reaches the management address can run code here"


def beyond_loopback(host: str) -> bool:
    """Whether other machines can connect to a server that listens on ``host``."""
    if host in ("localhost", ""):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True  # a name: whatever it means, it is not for sure this machine only
    mapped = getattr(address, "ipv4_mapped", None)  # how Java says 127.0.0.1 on a dual stack
    return not (mapped or address).is_loopback


def warnings(properties: Mapping[str, str]) -> list[str]:
    """Return a sentence for each address that is a risk as configured."""
    found = []
    for name, risk in RISKS.items():
        host = _host(properties.get(name, "127.0.0.1"))
        if beyond_loopback(host):
            found.append(f"{name} listens on {host}, beyond this machine: {risk}")
    if properties.get("disable_token_authorization", "false").lower() == "true":
        found.append(UNGUARDED)
    return found


def _host(address: str) -> str:
    """Return the host of a URL, or of the bare address that gRPC's properties are."""
    if address.startswith("unix:"):
        return ""
    return (urlsplit(address).hostname or "") if "://" in address else address
