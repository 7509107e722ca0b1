"""handshake edges: the state diagram of RFC 9293, and how Linux implements it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from handshake_lab.cli import options
from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.tcp.timers import TIMERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.tcp.diagram.edge import Edge

_OBSERVERS = ("tracepoint", "diag", "capture")
_HEADINGS = {
    "figure 5": "Figure 5 of RFC 9293",
    "a note to figure 5": "The notes to Figure 5",
    "the text": "The document's text",
    "Linux": "Edges that Linux adds",
}


@click.command()
@options.json("text")
def command(*, as_json: bool) -> int:
    """Print the state diagram, and how Linux implements it.

    For each edge of RFC 9293's diagram, this prints its number, as in scenarios and reports; the event and the action;
    the section of the RFC; the kernel function; and what each observer reports of it: the tracepoint
    sock:inet_sock_set_state, a poll of the sockets (sock_diag, which ss uses as well), and a capture of the segments.

    \b
    Examples:
      handshake edges
      handshake edges --json | jq '.edges[0]'
    """
    if as_json:
        from handshake_lab.report.export.edges_document import edges_document
        from handshake_lab.report.export.json_document import to_json

        click.echo(to_json(edges_document()), nl=False)
    else:
        click.echo("\n".join(_as_text()))
    return 0


def _as_text() -> Iterator[str]:
    for source, heading in _HEADINGS.items():
        yield heading
        yield "=" * len(heading)
        yield ""
        for edges in _alike([edge for edge in EDGES if edge.source == source]):
            yield from _describe(edges)
            yield ""
    yield "Timers"
    yield "======"
    yield ""
    for timer in TIMERS:
        yield f"{timer.name}, in {timer.states}"
        yield f"      {timer.documented}"
        yield f"      document    {timer.section}"
        if timer.sysctl or timer.option:
            yield f"      set by      {'; '.join(filter(None, (timer.sysctl, timer.option)))}"
        if timer.source:
            yield f"      Linux       {timer.source}"
        yield ""


def _alike(edges: list[Edge]) -> Iterator[list[Edge]]:
    """Edges that differ only by the state they start from, together."""
    group: list[Edge] = []
    for edge in edges:
        if group and edge.id.partition(".")[0] != group[0].id.partition(".")[0]:
            yield group
            group = []
        group.append(edge)
    if group:
        yield group


def _describe(edges: list[Edge]) -> Iterator[str]:
    first = edges[0]
    starts = ", ".join(edge.old for edge in edges)
    end = first.new if first.moves else "no change"
    yield f"{first.id.partition('.')[0]:>4}  {starts} → {end}"
    if len(edges) > 1:
        yield f"      ids         {', '.join(edge.id for edge in edges)}"
    yield f"      event       {first.event}"
    if first.action:
        yield f"      action      {first.action}"
    yield f"      document    {'RFC 9293, ' if first.section[0].isdigit() else ''}{first.section}"
    if first.linux:
        yield f"      Linux       {first.linux}"
    if first.absent:
        yield f"      not taken   {first.absent}"
    if first.gate:
        yield f"      versions    {first.gate}"
    for observer in _OBSERVERS:
        # Some edges of a group start from a mini-socket, which the tracepoint does not see.
        seen = next((getattr(edge, observer) for edge in edges if getattr(edge, observer)), "")
        if first.in_linux:
            yield f"      {observer:<12}{seen or 'nothing'}"
