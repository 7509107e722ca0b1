"""The headings and names of plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    from handshake_lab.report.text.translations import Words

    class _Headed(Protocol):
        """What a heading needs of a plot."""

        @property
        def kind(self) -> str: ...
        @property
        def connection(self) -> int: ...
        @property
        def sender(self) -> str: ...
        @property
        def receiver(self) -> str: ...


def heading(plot: _Headed, words: Words) -> str:
    """For example "Congestion window: connection 1, h1 → h2"."""
    kind = words(f"plot_kind.{plot.kind}")
    key = "plot.of_connection" if plot.connection else "plot.of_link" if plot.receiver else "plot.of_links"
    return words(key, kind=kind, number=plot.connection, sender=plot.sender, receiver=plot.receiver)


def curve_name(name: str, words: Words) -> str:
    """The name of a curve, for legends."""
    return words(f"curve.{name}")
