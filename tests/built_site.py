"""The site of the documentation, built for tests of its pages."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from handshake_lab.checkout.site import build_site

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = tomllib.loads((ROOT / "docs" / "questions.toml").read_text("utf-8"))["question"]


def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; where it is."""
    pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp("documentation") / "site"
    assert build_site(out) == 0
    return out
