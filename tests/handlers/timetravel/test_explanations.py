"""timetravel is not explained, and says why."""

from __future__ import annotations

import pytest
from PIL import Image

from handlers.timetravel.handler import TimetravelHandler
from tests.handlers.timetravel.support import ask, message, png

FACE = png(Image.new("RGB", (64, 64), "gray"))


@pytest.mark.parametrize("method", ["integrated_gradients", "grad_cam", "occlusion"])
def test_an_explanation_is_refused_with_the_reason(handler: TimetravelHandler, method: str) -> None:
    answer = ask(handler, FACE, explain="True", x_marquee_align="0", x_marquee_method=method)
    said = message(answer, 422)
    assert "no single number" in said
    assert "3.4 GB" in said
    assert handler.describe()["explanations"] is None
    assert ask(handler, FACE, x_marquee_align="0", x_marquee_ages="40").status == 200
