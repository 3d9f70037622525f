"""LitServe: batches of what waits, for at most a millisecond; files come as a form."""

import sys
from collections.abc import Mapping
from typing import Any

import litserve
from fastapi import Request
from torch import Tensor

from bench.contenders.network import Classifier, pixels_of


class Cifar(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        """Load the network."""
        self.classifier = Classifier()

    def decode_request(self, request: Request) -> Tensor:
        """Return the picture of the form, uint8 (3, 32, 32)."""
        form: Mapping[str, Any] = request  # it hands over the form, whatever it calls it
        return pixels_of(form["picture"].file.read())

    def batch(self, inputs: list[Tensor]) -> list[Tensor]:
        """Leave the list to the network's code."""
        return inputs

    def predict(self, pictures: list[Tensor]) -> list[dict[str, float]]:
        """Answer a batch."""
        return self.classifier.answers(pictures)

    def unbatch(self, output: list[dict[str, float]]) -> list[dict[str, float]]:
        """The answers are a list already."""
        return output

    def encode_response(self, output: dict[str, float]) -> dict[str, float]:
        """Answer as JSON."""
        return output


if __name__ == "__main__":
    api = Cifar(max_batch_size=32, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
