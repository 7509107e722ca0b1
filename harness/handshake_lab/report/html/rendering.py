"""Common parts of all pages: templates with escaping, the style sheet, the script and its hash."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from handshake_lab.report.svg.palette import DIAGRAM_CSS, KEY_CSS, PAGE_CSS, PLOT_CSS, SVG_CSS
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.report.text.translations import Words

#: The maximum length of a value on a page; a complete traceback fits, ten megabytes do not.
_LONGEST = 4000


class Served(NamedTuple):
    """A page as a server shows it: its style sheet and scripts are files of the server, not parts of the page.

    Attributes:
        package: The package with the templates of the server, which extend those of this one.
        template: The template to use.
        files: The address of the server's files, relative to the page, with a slash at the end.
        values: Further values of the template.
    """

    package: str
    template: str
    files: str
    values: Mapping[str, Any] = {}


def render(
    template: str, words: Words, *, with_plots: bool = False, served: Served | None = None, **values: Any
) -> str:
    """Render a template. Every value that is not `Markup` is sanitised, truncated and escaped.

    Args:
        template: Its name.
        words: The language.
        with_plots: Whether the page has plots: then it contains the library that draws them.
        served: How a server shows it; None: it is one self-contained file.
        values: The values of the template.

    The security policy of a self-contained page permits only its own script, by hash: no network access, no other
    script. That of a served page is in the headers of the answer.
    """
    common = {"w": words, "with_plots": with_plots, "served": served}
    if served is not None:
        used = _environment(served.package).get_template(served.template)
        return used.render(**common, **values, **served.values)
    own = {"css": css(plots=with_plots), "script": script(plots=with_plots), "script_hash": _script_hash(with_plots)}
    return _environment("").get_template(template).render(**common, **own, **values)


@cache
def _environment(package: str) -> Environment:
    own = PackageLoader("handshake_lab.report.html")
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), own]) if package else own,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )


def _harmless(value: Any) -> Any:
    return visible(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def css(*, plots: bool) -> Markup:
    """The style sheet of all pages, with that of plots if there are any."""
    page = _text("templates/page.css").replace("\n", "")
    if plots:
        page += PLOT_CSS + _text("uplot/uPlot.min.css").strip() + _text("templates/plots.css").replace("\n", "")
    return Markup(PAGE_CSS + SVG_CSS + DIAGRAM_CSS + KEY_CSS + page)  # noqa: S704 - our own


@cache
def script(*, plots: bool) -> Markup:
    """The script of all pages, with that of plots if there are any.

    It has no comments and no indentation, because every page of a session contains it.
    """
    own = _short("templates/page.js")
    # uPlot keeps the comment with its name and its licence's address.
    drawing = _text("uplot/uPlot.iife.min.js"), own, _short("templates/plots.js"), _short("templates/timeline.js")
    return Markup("".join(drawing) if plots else own)  # noqa: S704 - our own, and uPlot's


def _short(name: str) -> str:
    lines = (line.strip() for line in _text(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


@cache
def _script_hash(plots: bool) -> str:
    digest = hashlib.sha256(script(plots=plots).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _text(name: str) -> str:
    return (files("handshake_lab.report.html") / name).read_text("utf-8")
