"""Reports to the pages that are open what has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

#: Seconds between two searches of the folder; longer if a search takes longer than a tenth of that.
_PACE = 0.25
#: How many pages can be connected.
MOST_PAGES = 40
#: Seconds between two lines to a page that nothing has changed for: so a closed connection is noticed.
_HEARTBEAT = 15.0


class Changes:
    """Searches the folder while at least one page is open, and reports changes to all of them.

    Args:
        search: Returns what there is: a value for each name, which is another one after a change.
    """

    def __init__(self, search: Callable[[], Mapping[str, object]]) -> None:
        self._search = search
        self._pages: set[_Page] = set()
        self._watching: asyncio.Task[None] | None = None

    def report(self, names: Iterable[str]) -> None:
        """Report that something of these names has changed. To be called in the server's thread."""
        names = list(names)
        for page in self._pages:
            page.add(names)

    @property
    def full(self) -> bool:
        """Whether `MOST_PAGES` are connected."""
        return len(self._pages) >= MOST_PAGES

    async def stream(self, name: str, state: str) -> AsyncIterator[str]:
        """The events for one page: the data of each is a JSON list of names.

        Args:
            name: What the page shows; "" for everything.
            state: The state of that when the page was made, by `state_of`: if it is another one now, that is the first
                event.
        """
        page = _Page()
        self._pages.add(page)
        try:
            found = await asyncio.to_thread(self._search)
            if self._watching is None or self._watching.done():
                self._watching = asyncio.create_task(self._watch(found))
            if state_of(found, name) != state:
                page.add([name])
            yield "retry: 1000\n\n"
            while True:
                names = await page.take()
                yield f"data: {msgspec.json.encode(names).decode()}\n\n" if names else ": nothing\n\n"
        finally:
            self._pages.discard(page)
            if not self._pages and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    async def _watch(self, before: Mapping[str, object]) -> None:
        while True:
            began = time.monotonic()
            found = await asyncio.to_thread(self._search)
            if changed := sorted({name for name, _ in before.items() ^ found.items()}):
                self.report(changed)
            before = found
            await asyncio.sleep(max(_PACE, 10 * (time.monotonic() - began)))


def state_of(found: Mapping[str, object], name: str) -> str:
    """The state of what has a name, or of everything (""), as a short text that is another one after each change."""
    state = sorted(found.items()) if not name else found.get(name)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


class _Page:
    """What has changed since the last event for one page: at most each name once."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._some = asyncio.Event()

    def add(self, names: Iterable[str]) -> None:
        self._names.update(dict.fromkeys(names))
        self._some.set()

    async def take(self) -> list[str]:
        """The names, as soon as there are any; none after `_HEARTBEAT`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._some.wait(), _HEARTBEAT)
        self._some.clear()
        names = list(self._names)
        self._names.clear()
        return names
