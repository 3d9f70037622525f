"""The page at ``/docs`` without a door."""

from __future__ import annotations

from typing import Any

import pytest

from marquee.errors import MarqueeError
from marquee.serving import pages


def test_only_its_own_files_are_given() -> None:
    assert b"<!doctype html>" in (pages.page("/docs/") or b"")
    assert b"Swagger" in (pages.page("/docs/swagger-ui-bundle.js") or b"")
    for path in ("/docs/../pages.py", "/docs/index.css", "/swagger-ui.css", "/"):
        assert pages.page(path) is None


def test_without_swagger_ui_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    pages._swagger.cache_clear()
    monkeypatch.setattr("marquee.serving.pages.resources.files", absent)
    with pytest.raises(MarqueeError, match="pip install swagger-ui-bundle-v2"):
        pages.page("/docs/swagger-ui.css")
