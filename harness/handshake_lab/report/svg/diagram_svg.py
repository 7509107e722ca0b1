"""RFC 9293's state diagram as SVG, with the transitions of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.svg.diagram_layout import ARROWS, BOX, HEIGHT, PLACES, WIDTH, beside
from handshake_lab.report.svg.elements import Element, Style
from handshake_lab.report.svg.palette import DIAGRAM_CSS, EXPORT_CSS, SVG_CSS
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.text.translations import Words

Edge = tuple[State, State]


def picture(connections: Sequence[Connection], words: Words) -> str:
    """Draw the diagram as a separate SVG file, for slides."""
    return _file(drawing(connections, words))


def covered(taken: Sequence[Edge], words: Words) -> str:
    """Draw the diagram as an SVG file, with the edges that at least one of many runs took."""
    return _file(_draw({"left": list(taken), "right": []}, words))


def _file(root: Element) -> str:
    root.attributes |= {"xmlns": "http://www.w3.org/2000/svg", "width": str(WIDTH), "height": str(HEIGHT + 34)}
    background = Element("rect", class_="paper", width=WIDTH, height=HEIGHT + 34)
    root.children[:0] = [Style(SVG_CSS + DIAGRAM_CSS + EXPORT_CSS), background]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'


def drawing(connections: Sequence[Connection], words: Words) -> Element:
    """Draw the diagram. Edges that were taken are solid, in the colour of the side that took them; others are dashed.

    An edge has the attribute ``data-edge="OLD>NEW"``, with which a page's script marks other paths.
    """
    root = _draw({side: edges(connections, side) for side in ("left", "right")}, words)
    root.add(*_legend(words))
    return root


def _draw(taken: dict[str, list[Edge]], words: Words) -> Element:
    root = Element(
        "svg",
        Element("defs", *(_marker(name) for name in ("rest", "left", "right"))),
        class_="diagram",
        viewBox=f"0 0 {WIDTH} {HEIGHT + 34}",
        role="group",
        aria_label=words("page.diagram"),
    )
    for edge, arrow in ARROWS.items():
        root.add(_edge(edge, arrow.path, taken, extra=False))
    known = set(ARROWS)
    others = sorted((set(taken["left"]) | set(taken["right"])) - known)
    for edge in others:
        if edge[0] is not edge[1]:
            root.add(_edge(edge, beside(*edge), taken, extra=True))
    for arrow in ARROWS.values():
        root.add(Element("text", arrow.event, x=arrow.x, y=arrow.y, class_="event"))
        if arrow.action:
            root.add(Element("text", arrow.action, x=arrow.x, y=arrow.y + 13, class_="action"))
    visited = {side: {state for edge in taken[side] for state in edge} for side in taken}
    for state, (x, y) in PLACES.items():
        root.add(_box(state or State.CLOSED, x, y, visited))
    return root


def edges(connections: Sequence[Connection], side: str) -> list[Edge]:
    """The edges that one side took, in order and without duplicates."""
    lanes = [connection.left if side == "left" else connection.right for connection in connections]
    steps = [step for lane in lanes if lane.endpoint for step in lane.endpoint.transitions]
    return list(dict.fromkeys((step.old, step.new) for step in steps))


def _edge(edge: Edge, path: str, taken: dict[str, list[Edge]], *, extra: bool) -> Element:
    classes = ["edge", *(f"by-{side}" for side in ("left", "right") if edge in taken[side])]
    if extra:
        classes.append("extra")
    group = Element(
        "g",
        Element("path", class_="rest", d=path),
        class_=" ".join(classes),
        data_edge=f"{edge[0]}>{edge[1]}",
    )
    for side in ("left", "right"):
        if edge in taken[side]:
            group.add(Element("path", class_=side, d=path))
    return group


def _box(state: State, x: int, y: int, visited: dict[str, set[State]]) -> Element:
    classes = ["node", *(f"by-{side}" for side in ("left", "right") if state in visited[side])]
    width, height = BOX
    return Element(
        "g",
        Element("rect", class_="box", x=x - width, y=y - height, width=2 * width, height=2 * height, rx=8),
        Element("rect", class_=f"s-{state}", x=x - width, y=y - height, width=8, height=2 * height, rx=3),
        Element("text", state, x=x + 4, y=y + 5, class_="name mid"),
        class_=" ".join(classes),
        data_state=state,
    )


def _marker(name: str) -> Element:
    head = Element("path", d="M0 0L8 4L0 8z", class_=f"head-{name}")
    return Element(
        "marker",
        head,
        id=f"to-{name}",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=9,
        markerHeight=9,
        orient="auto",
        markerUnits="userSpaceOnUse",
    )


def _legend(words: Words) -> list[Element]:
    out = []
    x = 24
    for name, key in (("left", "page.path_left"), ("right", "page.path_right"), ("rest", "page.path_rest")):
        line = Element("path", class_=name, d=f"M{x} {HEIGHT + 12}h44")
        text = Element("text", words(key), x=x + 54, y=HEIGHT + 16, class_="dim start")
        out.append(Element("g", line, text, class_="edge" if name == "rest" else f"edge by-{name}"))
        x += 250
    return out
