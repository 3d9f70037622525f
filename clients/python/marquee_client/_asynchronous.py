"""The client for ``async`` code; what it does is :class:`marquee_client.Client`'s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx

from marquee_client import _answers
from marquee_client._answers import Answer, ModelStatus
from marquee_client._call import Call, Patience, call, client_options
from marquee_client._errors import Unreachable
from marquee_client._inputs import Body, Input

if TYPE_CHECKING:
    from typing_extensions import Self


class AsyncClient:
    """As :class:`marquee_client.Client`, to be awaited; tasks of one loop may share it."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 300.0,
        retries: int = 4,
        resend_timed_out: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._patience = Patience(timeout, retries, resend_timed_out)
        options = client_options(url, key, self._patience)
        self._http = httpx.AsyncClient(**options, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def predict(self, model: str, image: Input, **parameters: Any) -> Any:
        """Ask a model, and return the value of its answer; see :meth:`ask`."""
        return (await self.ask(model, image, **parameters)).value

    async def explain(self, model: str, image: Input, **parameters: Any) -> Any:
        """Ask what in the input led to the answer; a heat map, unless ``accept`` says else."""
        return (await self.ask(model, image, verb="explanations", **parameters)).value

    async def ask(
        self,
        model: str,
        image: Input,
        *,
        verb: str = "predictions",
        version: str | None = None,
        accept: str | None = None,
        content_type: str | None = None,
        **parameters: Any,
    ) -> Answer:
        """Ask a model; see :meth:`marquee_client.Client.ask`."""
        asked = call(
            verb,
            model,
            image,
            version=version,
            accept=accept,
            content_type=content_type,
            parameters=parameters,
            patience=self._patience,
        )
        try:
            return await self._answered(asked)
        finally:
            asked.body.close()

    async def _answered(self, asked: Call) -> Answer:
        while True:
            after = asked.after(await self._outcome(asked))
            if isinstance(after, Answer):
                return after
            await asyncio.sleep(after)

    async def _outcome(self, asked: Call) -> httpx.Response | httpx.HTTPError:
        try:
            body = _awaited(asked.body)
            return await self._http.post(asked.path, content=body, headers=asked.headers)
        except httpx.HTTPError as error:
            return error

    async def models(self) -> dict[str, ModelStatus]:
        """Return the models of a front door, by their names."""
        return _answers.models(await self._get("/ping"))

    async def versions(self, model: str) -> list[str]:
        """Return the versions of a model that a front door serves."""
        return _answers.versions(await self._get("/openapi.json"), model)

    async def _get(self, path: str) -> httpx.Response:
        try:
            return await self._http.get(path)
        except httpx.HTTPError as error:
            raise Unreachable(f"no answer from {path}: {error}") from error


async def _awaited(body: Body) -> AsyncIterator[bytes]:
    for chunk in body.chunks():
        yield chunk
