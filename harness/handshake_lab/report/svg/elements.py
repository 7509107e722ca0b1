"""SVG elements as values; text and attributes are always escaped."""

from __future__ import annotations

from html import escape

from handshake_lab.report.text.escaping import visible

Value = str | float


class Element:
    """An SVG element: its tag, attributes and children; a str as child is text.

    Attribute names have ``_`` for ``-``, and a trailing ``_`` for keywords of Python (``class_``).
    """

    #: The maximum length of an attribute's value.
    longest = 2000

    def __init__(self, tag: str, *children: Element | str, **attributes: Value | None) -> None:
        self.tag = tag
        self.children = list(children)
        self.attributes = {
            name.rstrip("_").replace("_", "-"): number(value) for name, value in attributes.items() if value is not None
        }

    def add(self, *children: Element | str) -> None:
        """Append children."""
        self.children.extend(children)

    def __str__(self) -> str:
        attributes = "".join(
            f' {name}="{escape(visible(value, self.longest))}"' for name, value in self.attributes.items()
        )
        if not self.children:
            return f"<{self.tag}{attributes}/>"
        inner = "".join(
            escape(visible(each), quote=False) if isinstance(each, str) else str(each) for each in self.children
        )
        return f"<{self.tag}{attributes}>{inner}</{self.tag}>"


class Path(Element):
    """A path of any length."""

    longest = 100_000_000

    def __init__(self, path: str, **attributes: Value | None) -> None:
        super().__init__("path", d=path, **attributes)


class Style(Element):
    """A style sheet of this project; it is not escaped."""

    def __init__(self, css: str) -> None:
        super().__init__("style")
        self._css = css

    def __str__(self) -> str:
        return f"<style>{self._css}</style>"


def number(value: Value) -> str:
    """A number with at most one decimal, which is precise enough for any screen."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def with_alternative(first: Element, second: Element) -> Element:
    """Combine two drawings of the same structure: the differences of the second are stored in ``data-time``.

    The page's script exchanges the two. The format of ``data-time`` is ``name:value;name:value``.
    """
    differing = {name: value for name, value in second.attributes.items() if first.attributes.get(name) != value}
    if differing:
        first.attributes["data-time"] = ";".join(f"{name}:{value}" for name, value in differing.items())
    for one, other in zip(first.children, second.children, strict=True):
        if isinstance(one, Element) and isinstance(other, Element):
            with_alternative(one, other)
    return first


def without(element: Element, *names: str) -> Element:
    """An element without some attributes, in which its children have none of them either."""
    for name in names:
        element.attributes.pop(name, None)
    for each in element.children:
        if isinstance(each, Element):
            without(each, *names)
    return element
