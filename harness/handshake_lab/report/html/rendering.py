"""Common parts of all pages: templates with escaping, the style sheet, the script and its hash."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from handshake_lab.report.svg.palette import DIAGRAM_CSS, KEY_CSS, PAGE_CSS, PLOT_CSS, SVG_CSS
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from handshake_lab.report.text.translations import Words

#: The maximum length of a value on a page; a complete traceback fits, ten megabytes do not.
_LONGEST = 4000


def render(template: str, words: Words, *, with_plots: bool = False, **values: Any) -> str:
    """Render a template. Every value that is not `Markup` is sanitised, truncated and escaped.

    Args:
        template: Its name.
        words: The language.
        with_plots: Whether the page has plots: then it contains the library that draws them.
        values: The values of the template.

    The page's security policy permits only its own script, by hash: no network access, no other script.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            w=words, css=_css(with_plots), script=_script(with_plots), script_hash=_script_hash(with_plots), **values
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("handshake_lab.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )


def _harmless(value: Any) -> Any:
    return visible(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _css(plots: bool) -> Markup:
    page = _text("templates/page.css").replace("\n", "")
    if plots:
        page += PLOT_CSS + _text("uplot/uPlot.min.css").strip() + _text("templates/plots.css").replace("\n", "")
    return Markup(PAGE_CSS + SVG_CSS + DIAGRAM_CSS + KEY_CSS + page)  # noqa: S704 - our own


@cache
def _script(plots: bool) -> Markup:
    """The script without comments and indentation, because every page of a session contains it."""
    own = _short("templates/page.js")
    # uPlot keeps the comment with its name and its licence's address.
    drawing = _text("uplot/uPlot.iife.min.js"), own, _short("templates/plots.js"), _short("templates/timeline.js")
    return Markup("".join(drawing) if plots else own)  # noqa: S704 - our own, and uPlot's


def _short(name: str) -> str:
    lines = (line.strip() for line in _text(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


@cache
def _script_hash(plots: bool) -> str:
    digest = hashlib.sha256(_script(plots).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _text(name: str) -> str:
    return (files("handshake_lab.report.html") / name).read_text("utf-8")
