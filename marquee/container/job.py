"""A SageMaker training job as its container sees it: folders, hyperparameters, variables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psutil

from marquee.errors import MarqueeError

# What SageMaker's own library adds for containers that run the caller's script.
FOREIGN = ("sagemaker_", "_tuning_objective_metric")
CHANNEL = "training"


class Job:
    """A training job.

    Attributes:
        base: has all its folders, as ``/opt/ml`` has.
        model: what is written here becomes model.tar.gz.
        data: has a folder for each channel.
        config: has what the caller asked for.
        output: takes the ``failure`` file, and ``data`` for further results.
        checkpoints: is kept in S3, and restored when the job starts again.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.model, self.output = base / "model", base / "output"
        self.data, self.config = base / "input" / "data", base / "input" / "config"
        self.checkpoints = base / "checkpoints"

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders that a training writes to; checkpoints only where they are kept."""
        kept = (self.checkpoints,) if self.checkpoints.is_dir() else ()
        return (self.model, self.output, self.output / "data", *kept)

    def channels(self) -> dict[str, Path]:
        """Return the folder of each input channel.

        Raises:
            MarqueeError: a channel is streamed.
        """
        described = self._json("inputdataconfig.json")
        for name, about in described.items():
            mode = about.get("TrainingInputMode", "File") if isinstance(about, dict) else "File"
            if mode == "Pipe":
                raise MarqueeError(
                    f"the channel '{name}' has the input mode Pipe; expected File or FastFile"
                )
        present = [path.name for path in self.data.iterdir()] if self.data.is_dir() else []
        return {name: self.data / name for name in sorted({*described, *present})}

    def hyperparameters(self) -> dict[str, str]:
        """Return what the caller set, as text; SageMaker's own entries are left out."""
        given = self._json("hyperparameters.json").items()
        return {name: _plain(value) for name, value in given if not name.startswith(FOREIGN)}

    def hosts(self) -> list[str]:
        """Return the names of the job's instances."""
        return [*map(str, self._json("resourceconfig.json").get("hosts") or ["algo-1"])]

    def _json(self, name: str) -> dict[str, Any]:
        path = self.config / name
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise MarqueeError(f"{path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise MarqueeError(f"{path} holds {type(content).__name__}, expected a JSON object")
        return content

    def variables(self) -> dict[str, str]:
        """Return the ``SM_*`` variables that training scripts read."""
        channels, given = self.channels(), self.hyperparameters()
        hosts = self.hosts()
        current = self._json("resourceconfig.json").get("current_host", hosts[0])
        return {
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DIR": str(self.output),
            "SM_OUTPUT_DATA_DIR": str(self.output / "data"),
            "SM_INPUT_DIR": str(self.base / "input"),
            "SM_INPUT_CONFIG_DIR": str(self.config),
            "SM_CHANNELS": json.dumps([*channels]),
            "SM_HPS": json.dumps(given),
            "SM_HOSTS": json.dumps(hosts),
            "SM_CURRENT_HOST": str(current),
            "SM_NUM_CPUS": str(psutil.cpu_count() or 1),
            "SM_NUM_GPUS": str(_gpus()),
            **{f"SM_CHANNEL_{_upper(name)}": str(path) for name, path in channels.items()},
            **{f"SM_HP_{_upper(name)}": value for name, value in given.items()},
        }

    def arguments(self, data: str) -> list[str]:
        """Return the hyperparameters as options, and the folder of the data if there is one.

        Raises:
            MarqueeError: several channels, and none is called ``training``; says that it has
                ``data``, in words.
        """
        given, channels = self.hyperparameters(), self.channels()
        said = {name.replace("_", "-") for name in given}
        words = [f"--{name}={value}" for name, value in given.items()]
        if channels and CHANNEL not in channels and "data-dir" not in said:
            if len(channels) > 1:
                raise MarqueeError(
                    f"the job has the channels {', '.join(channels)}; expected one called "
                    f"'{CHANNEL}' with {data}"
                )
            words.append(f"--data-dir={next(iter(channels.values()))}")
        if self.checkpoints.is_dir() and "checkpoint-dir" not in said:
            words.append(f"--checkpoint-dir={self.checkpoints}")
        return words


def _upper(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _plain(value: Any) -> str:
    """Read a hyperparameter: SageMaker hands on text, its library text that is JSON again."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        inner = json.loads(value)
    except ValueError:
        return value
    return inner if isinstance(inner, str) else value


def _gpus() -> int:
    """Count the devices that the driver shows, without loading PyTorch for it."""
    return sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in Path("/dev").iterdir())
