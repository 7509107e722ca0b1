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

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
#: What stands on a page as ``<!-- generated: NAME -->`` -> what writes it.
GENERATED = {"commands": command_page.sections, "docstrings": docstrings_page.sections, "events": events_page.sections}
_MARK = re.compile(r"<!-- generated: (\w+) -->")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*|[^):#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- as MkDocs calls it
    """Fill in what is generated; have links to files of the repository lead there, or be text without its address."""
    folder = (Path(config.docs_dir) / page.file.src_uri).parent

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


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- as MkDocs calls it
    """Docstrings end a paragraph with two colons before a block of code, as reStructuredText does."""
    return html.replace("::</p>", ":</p>")
