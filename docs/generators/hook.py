"""What MkDocs calls while it builds the site: fills in what comes from the code, and mends links to the repository.

``handshake docs`` builds the site; ``mkdocs.yml`` names this file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
import command_page
import docstrings_page
import events_page
from markdown.extensions.toc import unique  # type: ignore[import-untyped]
from pymdownx.slugs import slugify  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
#: What stands on a page as ``<!-- generated: NAME -->`` -> what writes it.
GENERATED = {"commands": command_page.sections, "docstrings": docstrings_page.sections, "events": events_page.sections}
_MARK = re.compile(r"<!-- generated: (\w+) -->")
#: Beginnings of pages -> how much more than others they count in the search. Both languages have one index: words in
#: Korean are only in its pages, others are sought in English.
BOOST = {
    "start.md": 3,
    "how-to/": 2,
    "reference/commands.md": 2,
    "explanation/claims": 0.2,
    "reference/docstrings": 0.5,
}
TRANSLATED = 0.2
#: Beginnings of pages that the search does not find: transcripts have the words of many others.
NOT_FOUND = "courses/"
_HEADING = re.compile(r"^(#{2,6} .*)$|^```.*?^```$", re.MULTILINE | re.DOTALL)
_slug = slugify(case="lower")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*|[^):#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- as MkDocs calls it
    """Fill in what is generated; have links to files of the repository lead there, or be text without its address."""
    source = Path(config.docs_dir) / page.file.src_uri
    folder = source.parent
    boost = next((value for name, value in BOOST.items() if page.file.src_uri.startswith(name)), 1)
    page.meta["search"] = {"boost": TRANSLATED if ".ko" in source.suffixes else boost}
    if page.file.src_uri.startswith(NOT_FOUND):
        page.meta["search"] = {"exclude": True}
    if ".ko" in source.suffixes:
        markdown = with_addresses(markdown, source.with_name(source.name.replace(".ko", "")).read_text("utf-8"))

    def mended(match: re.Match[str]) -> str:
        text, target, _ = match.groups()
        path = (folder / target).resolve()
        if path.is_relative_to(config.docs_dir) or not path.exists():
            return match[0]
        inside = path.relative_to(REPOSITORY)
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{inside})"
        return text if str(inside) in text else f"{text} (`{inside}`)"

    return _MARK.sub(lambda mark: GENERATED[mark[1]](), _LINK.sub(mended, markdown))


def with_addresses(translated: str, original: str) -> str:
    """A translation whose sections have the addresses of the original's, so that links lead to both."""
    addresses = iter(_addresses(original))
    return _HEADING.sub(lambda found: f"{found[1]} {{ #{next(addresses)} }}" if found[1] else found[0], translated)


def _addresses(original: str) -> list[str]:
    """The addresses that MkDocs gives the sections of a page; the second of a name gets a number."""
    found: list[str] = []
    used: set[str] = set()
    for match in _HEADING.finditer(original):
        if match[1]:
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", match[1].lstrip("#").strip())
            found.append(unique(_slug(plain, "-"), used))
    return found


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- as MkDocs calls it
    """Docstrings end a paragraph with two colons before a block of code, as reStructuredText does."""
    return html.replace("::</p>", ":</p>")
