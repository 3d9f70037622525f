"""The client that waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from marquee_client import _answers
from marquee_client._answers import Answer, ModelStatus
from marquee_client._call import Call, Patience, call, client_options
from marquee_client._errors import Unreachable
from marquee_client._inputs import Input

if TYPE_CHECKING:
    from typing_extensions import Self


class Client:
    """Asks the models of one server; threads may share it.

    Args:
        url: such as ``http://127.0.0.1:8080``.
        key: as ``marquee token`` prints it; None where the server asks for none.
        timeout: seconds that an answer may take.
        retries: how often a server is asked again that is busy or does not listen.
        resend_timed_out: whether it is asked again after ``timeout`` seconds, too; it may then
            do the work twice.
        transport: of httpx, in place of its own.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 300.0,
        retries: int = 4,
        resend_timed_out: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._patience = Patience(timeout, retries, resend_timed_out)
        self._http = httpx.Client(**client_options(url, key, self._patience), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def predict(self, model: str, image: Input, **parameters: Any) -> Any:
        """Ask a model, and return the value of its answer; see :meth:`ask`."""
        return self.ask(model, image, **parameters).value

    def explain(self, model: str, image: Input, **parameters: Any) -> Any:
        """Ask what in the input led to the answer; a heat map, unless ``accept`` says else."""
        return self.ask(model, image, verb="explanations", **parameters).value

    def ask(
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
        """Ask a model.

        Args:
            image: a path, a file's bytes, an open file, a pillow image, a numpy array, or a dict
                or a list, which are sent as JSON.
            verb: ``predictions`` or ``explanations``.
            version: which version; the server's default one when None.
            accept: a media type, or ``json``, ``png``, ``jpg``, ``npy``; the model's own choice
                when None.
            content_type: of the input, in the same words; by the input when None.
            parameters: the model's own, such as ``top_k=3``.

        Raises:
            Refused: the server says no, and why.
            TimedOut, Unreachable: there is no answer.
            ValueError, TypeError, OSError: the input or a parameter cannot be sent.
        """
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
            return self._answered(asked)
        finally:
            asked.body.close()

    def _answered(self, asked: Call) -> Answer:
        while True:
            after = asked.after(self._outcome(asked))
            if isinstance(after, Answer):
                return after
            time.sleep(after)

    def _outcome(self, asked: Call) -> httpx.Response | httpx.HTTPError:
        try:
            return self._http.post(asked.path, content=asked.body.chunks(), headers=asked.headers)
        except httpx.HTTPError as error:
            return error

    def models(self) -> dict[str, ModelStatus]:
        """Return the models of a front door, by their names.

        Raises:
            Refused: there is no front door, and TorchServe alone does not tell.
            Unreachable: nobody listens.
        """
        return _answers.models(self._get("/ping"))

    def versions(self, model: str) -> list[str]:
        """Return the versions of a model that a front door serves.

        Raises:
            Refused: there is no such model, or no front door.
            Unreachable: nobody listens.
        """
        return _answers.versions(self._get("/openapi.json"), model)

    def _get(self, path: str) -> httpx.Response:
        try:
            return self._http.get(path)
        except httpx.HTTPError as error:
            raise Unreachable(f"no answer from {path}: {error}") from error
