"""What is done in place of a function that the script does not have."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handlers.runtime.weights import WeightsError
from handlers.script.codec import Body, decode, encode

MODEL_FILE = "model.pt"
MODEL_SUFFIXES = (".pt", ".pth")


@dataclass(frozen=True)
class Defaults:
    """The default functions of one worker.

    Attributes:
        device: the worker's own.
        max_bytes: what a compressed body may unpack to.
    """

    device: torch.device
    max_bytes: int

    def model_fn(self, model_dir: str) -> Any:
        """Load the folder's TorchScript file.

        Raises:
            WeightsError: there is none, or more than one, or it holds no TorchScript.
        """
        path = find_model(Path(model_dir))
        try:
            with warnings.catch_warnings():
                # PyTorch calls TorchScript deprecated; it is what SageMaker's contract is made of.
                warnings.simplefilter("ignore", FutureWarning)
                return torch.jit.load(path, map_location=self.device)
        except RuntimeError as error:
            raise WeightsError(
                f"{path.name} holds no TorchScript; save it with torch.jit.save, or write a "
                "model_fn that loads it"
            ) from error

    def input_fn(self, body: Body, content_type: str | None) -> Any:
        """Read a tensor from JSON, CSV, npy or npz."""
        return decode(body, content_type, self.max_bytes).to(self.device)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """Call the model on ``data``, whatever its shape: the client sends whole batches."""
        with torch.no_grad():
            return model.to(self.device).eval()(data.to(self.device))

    def output_fn(self, prediction: Any, accept: str) -> Any:
        """Write the prediction as JSON, CSV, npy or npz; return its type as well."""
        return encode(prediction, accept)


def find_model(folder: Path) -> Path:
    """Return ``model.pt``, or the only ``.pt`` or ``.pth`` file of the folder.

    Raises:
        WeightsError: there is none, or it is not clear which.
    """
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    # Hidden ones are twins that a Mac leaves beside each file.
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    found = sorted(path for path in visible if path.suffix in MODEL_SUFFIXES)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise WeightsError(
            f"the script has no model_fn, so one TorchScript file is needed, {MODEL_FILE} or a "
            f"single .pt or .pth; found {names}"
        )
    return found[0]
