"""On the host: detects that virtual time passes too slowly, and reports why a script may not end."""

from __future__ import annotations

import re
import time
from collections import deque
from typing import TYPE_CHECKING

from handshake_lab.recording.run_files import EVENTS, SCRIPT_OUTPUT

if TYPE_CHECKING:
    from pathlib import Path

#: The compared period, and the interval between two samples, in seconds of real time.
_PERIOD, _INTERVAL = 8.0, 0.5
#: Progress is slow if less virtual time than this passes in a period. Nanoseconds.
_SLOW = 400_000_000
#: Bytes at the end of the file of events that are searched for the last events.
_END = 1 << 14
_TIME = re.compile(rb'"t":(\d+)')
_SEGMENT = re.compile(rb'"type":"segment".*?"node":"([^"]*)".*?"src":\["([^"]*)",(\d+)\],"dst":\["([^"]*)",(\d+)\]')


class SlowProgress:
    """Compares what a run has recorded at intervals of real time.

    Args:
        results: The run's directory.
    """

    def __init__(self, results: Path) -> None:
        self._events = results / EVENTS
        self._output = results / SCRIPT_OUTPUT
        self._said = False
        self._samples: deque[tuple[float, int, int, int]] = deque()

    def begin(self) -> None:
        """Begin a new period, since the run waited for the user's input."""
        self._samples.clear()

    def _now(self) -> tuple[int, int, int, bytes]:
        """Sizes of the events and of the output, the time of the last event, and the last events."""
        if not self._events.exists():
            return 0, 0, 0, b""
        with self._events.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _END))
            last = file.read()
        times = _TIME.findall(last)
        return size, self._output.stat().st_size, int(times[-1]) if times else 0, last

    def warning(self) -> str:
        """Why the script may not end; "" if progress is not slow, or if it was reported before."""
        now = time.monotonic()
        if self._said or (self._samples and now - self._samples[-1][0] < _INTERVAL):
            return ""
        size, printed, t, last = self._now()
        if size:
            self._samples.append((now, size, printed, t))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _PERIOD:
            self._samples.popleft()
        if not self._samples or now - self._samples[0][0] < _PERIOD:
            return ""
        began, size_before, printed_before, t_before = self._samples[0]
        if printed != printed_before or t - t_before >= _SLOW:
            return ""
        period = now - began
        self._said = True
        if size == size_before:
            return (
                f"for {period:.0f} s of real time, the script has printed nothing and no segment was recorded. If a "
                "program computes or polls in a loop until some time has passed, it does not end: computing takes no "
                "virtual time. --wall-limit ends the run"
            )
        passed = (t - t_before) / 1e6
        flow = b""
        if segments := _SEGMENT.findall(last):
            node, source, port, target, to = segments[-1]
            flow = b" (the last one: %b, %b:%b to %b:%b)" % (node, source, port, target, to)
        return (
            f"in {period:.0f} s of real time, {passed:g} ms of virtual time have passed: segments are sent without any "
            f"limit{flow.decode()}. Computing takes no virtual time; give the link a bandwidth, or do not set --rate 0"
        )
