"""Which server the pages talk to, and what they may do there. Keys stay on this side of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marquee.project import Project
from marquee.torchserve.inference import Inference
from marquee.torchserve.management import Management
from marquee.torchserve.tokens import GivenKey


@dataclass(frozen=True)
class Connection:
    """A server, as the pages know it.

    Attributes:
        inference: a client that asks its models.
        catalogue: a client that asks what models it has, and never changes any; None where only
            the inference address is known, whose OpenAPI document tells.
        management: a client with the right to change things, for whoever sees the pages; None
            where they have to show a management token of their own first.
        management_address: where such a token is good; None where nobody knows.
        project: whose server it is; None for one that is known by its address alone.
        logs: the folder of its logs; None where they are not on this machine.
    """

    inference: Inference
    catalogue: Management | None
    management: Management | None
    management_address: str | None
    project: Project | None
    logs: Path | None

    @property
    def shown_address(self) -> str:
        """The inference address, as requests that are shown to people have it."""
        return self.inference.address

    @property
    def is_secured(self) -> bool:
        """Whether requests bear a token."""
        return self.inference.has_token

    def managed_with(self, token: str) -> Management:
        """Return a client of the management address with a token that somebody typed.

        Raises:
            ValueError: there is no such address.
        """
        if self.management_address is None:
            raise ValueError("no management address is known")
        return Management(self.management_address, GivenKey(token))

    def close(self) -> None:
        """Hang up."""
        for client in (self.inference, self.catalogue):
            if client is not None:
                client.close()


def of_project(project: Project, *, trusted: bool) -> Connection:
    """Connect to the project's server, which need not run yet.

    Args:
        trusted: whether whoever sees the pages may change things without a token.
    """
    management = Management.of(project)
    return Connection(
        inference=Inference.of(project),
        catalogue=management,
        management=management if trusted else None,
        management_address=management.address,
        project=project,
        logs=project.logs,
    )


def of_url(
    url: str, token: str | None, management_url: str | None, management_token: str | None
) -> Connection:
    """Connect to a server that is known by its addresses.

    Args:
        token, management_token: None where the server asks for none.
        management_url: None where it cannot be reached, as behind most front doors.
    """
    catalogue = None
    if management_url is not None:
        catalogue = Management(management_url.rstrip("/"), _given(management_token))
    return Connection(
        inference=Inference(url.rstrip("/"), _given(token)),
        catalogue=catalogue,
        management=None,
        management_address=None if catalogue is None else catalogue.address,
        project=None,
        logs=None,
    )


def _given(token: str | None) -> GivenKey | None:
    return GivenKey(token) if token else None
