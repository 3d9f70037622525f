"""One small training job for all tests that want its results."""

import json
from pathlib import Path

import pytest

from tests.container.hosts import train

SMALL = {"drawn": "60", "batch_size": "20", "network": '"lenet"', "width": "4", "epochs": "1"}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training job leaves in /opt/ml/model."""
    base = tmp_path_factory.mktemp("job") / "ml"
    (base / "input" / "config").mkdir(parents=True)
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(SMALL))
    code, told = train(base)
    assert code == 0, told
    assert not (base / "output" / "failure").exists()
    return base / "model"
