# ruff: noqa: INP001 - a script, not part of a package
"""Write the tables of docs/courses.md that are made from the code: ``python docs/make_courses_page.py``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from handshake_lab.courses.measures import FUNCTIONS, Measures
from handshake_lab.plan.steps import OPTIONS, VERBS

PAGE = Path(__file__).parent / "courses.md"
_STEPS = {
    "listen": "a socket listens",
    "connect": "connects, and waits for the result; `begin`: does not wait; `timeout`: gives up",
    "accept": "accepts a connection",
    "send": "sends that number of bytes",
    "read": "reads that number of bytes, or until the peer's FIN",
    "shutdown": "has nothing more to send, but still reads",
    "close": "closes the connection",
    "abort": "closes it with a RST",
    "stop": "closes the listener",
    "set": f"sets {', '.join(OPTIONS)}",
    "udp": "a UDP socket with this port",
    "send-to": "sends a UDP datagram",
    "receive": "receives one",
}


def tables() -> dict[str, str]:
    """The tables by the first cells of their headers."""
    steps = ["| step | meaning |", "|---|---|"]
    for verb, arguments in VERBS.items():
        step = f"`h1 {verb} {arguments}".strip().replace(" | ", "` or `") + "`"
        steps.append(f"| {step} | {_STEPS[verb]} |")
    steps.append(
        "| `wait 500ms`, `wait closed [TIME]`, `wait h1 TIME-WAIT` | waits: a time, for all to be closed, for a state |"
    )
    functions = ["| function | value |", "|---|---|"]
    for name, text in FUNCTIONS.items():
        names = list(inspect.signature(getattr(Measures, name)).parameters)[1:]
        shown = ", ".join("nth=1" if each == "nth" else each for each in names)
        functions.append(f"| `{name}({shown})` | {text.splitlines()[0].rstrip('.')} |")
    return {"| step ": "\n".join(steps), "| function ": "\n".join(functions)}


def made(page: str) -> str:
    """The page with its tables made again."""
    for begin, table in tables().items():
        page = re.sub(
            rf"^{re.escape(begin)}.*\n(?:\|.*\n)+", lambda _, table=table: table + "\n", page, flags=re.MULTILINE
        )
    return page


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text("utf-8")), "utf-8")
