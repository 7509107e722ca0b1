"""The parts of a terminal report around the ladder: title, summary table, states, verdict, legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.report.terminal.canvas import DIM, STATE_STYLE, Glyphs, Span
from handshake_lab.report.text import cells
from handshake_lab.report.text.as_typed import replay_as_typed
from handshake_lab.report.text.times import seconds, span
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.recording.history import Endpoint, Record, Transition
    from handshake_lab.recording.messages import Message
    from handshake_lab.report.layout.connections import Connection
    from handshake_lab.report.text.translations import Words
    from handshake_lab.verdict.expected_states import ComparedState
    from handshake_lab.verdict.judge import Finding, Verdict

Lines = list[list[Span]]

#: The maximum length of a host's name.
NAME = 60

#: How many findings are shown, apart from deviations.
FINDINGS = 30

#: How many lines of a failure are shown.
FAILURE = 40

#: The maximum length of a command.
REPLAY = 2000


def title(record: Record, glyphs: Glyphs, words: Words, width: int) -> Lines:
    """What was run, on which kernel, and which observers were not available."""
    header = record.header
    seed = header.kernel.seed
    facts = [
        words("ladder.title", release=glyphs.legible(header.kernel.release), kind=header.kernel.kind),
        words("ladder.no_seed") if seed is None else words("ladder.seed", seed=seed),
        glyphs.legible(header.topology),
        *map(glyphs.legible, header.links),
        *map(glyphs.legible, header.faults),
    ]
    lines: Lines = []
    for number, text in enumerate(_packed(facts, f" {glyphs.dot} ", width)):
        lines.append([(text, "bold" if number == 0 else "")])
    for observer, reason in header.observers.items():
        if reason:
            shown = words("verdict.blind", observer=glyphs.legible(observer), reason=glyphs.legible(reason))
            lines += [[(line, "yellow")] for line in cells.wrap(shown, width)]
    if not record.complete:
        lines += [[(line, "bold red")] for line in cells.wrap(words("verdict.cut"), width)]
    return lines


def outline(sentences: Sequence[Message], glyphs: Glyphs, words: Words, width: int) -> Lines:
    """What happened, in a few sentences."""
    text = " ".join(map(words.message, sentences)).replace("µs", glyphs.micro)
    return [[(line, "bold")] for line in cells.wrap(glyphs.legible(text, len(text)), width)]


def summary(found: list[Connection], glyphs: Glyphs, words: Words, width: int) -> Lines:
    """A table of connections, one line for each."""
    heads = [words(f"table.{key}") for key in ("number", "client", "server", "segments", "lost", "again", "duration")]
    rows = [
        [
            str(each.number),
            _name(each.left.node, str(each.left.address), glyphs),
            _name(each.right.node, str(each.right.address), glyphs),
            str(len(each.segments)),
            str(each.lost or ""),
            str(each.again or ""),
            span(each.settled - each.began, glyphs.micro),
        ]
        for each in found
    ]
    flexible = (1, 2)
    sizes = [max(map(cells.width, column)) for column in zip(heads, *rows, strict=True)]
    fixed = sum(size for place, size in enumerate(sizes) if place not in flexible) + 2 * (len(sizes) - 1)
    each = max(12, (width - fixed) // 2)
    sizes = [min(size, each) if place in flexible else size for place, size in enumerate(sizes)]
    lines: Lines = []
    for number, row in enumerate([heads, *rows]):
        text = "  ".join(
            (cells.left if place in flexible else cells.right)(cells.fit(value, size, glyphs.more), size)
            for place, (value, size) in enumerate(zip(row, sizes, strict=True))
        )
        lines.append([(text, "bold" if number == 0 else "")])
    longest = max(each.time_wait for each in found)
    if longest:
        note = words("table.without_time_wait", length=span(longest, glyphs.micro))
        lines += [[(line, DIM)] for line in cells.wrap(note, width)]
    return lines


def _name(node: str, address: str, glyphs: Glyphs) -> str:
    return f"{glyphs.legible(node, NAME)} {glyphs.legible(address)}"


def endpoint_states(endpoint: Endpoint, held: list[ComparedState], glyphs: Glyphs, words: Words, width: int) -> Lines:
    """The states of an endpoint, each with a tick mark, its duration, its cause and its witnesses."""
    head = words(
        "states.heading",
        node=glyphs.legible(endpoint.node, NAME),
        role=words(f"role.{endpoint.role}"),
        local=glyphs.legible(str(endpoint.local)),
    )
    lines: Lines = [[(line, "bold")] for line in cells.wrap(head, width)]
    for mark in held:
        lines += _state(endpoint, mark, glyphs, words, width)
    return lines


def _state(endpoint: Endpoint, mark: ComparedState, glyphs: Glyphs, words: Words, width: int) -> Lines:
    tick = " " if mark.ok is None else glyphs.yes if mark.ok else glyphs.no
    style = "green" if mark.ok else "bold red"
    name: Span = (cells.left(mark.state, 13), f"bold {STATE_STYLE[mark.state]}")
    begin: list[Span] = [("  ", ""), (f"{tick} ", style), name]
    indent = 17
    steps = endpoint.transitions
    lines: Lines
    if mark.place is None:
        lines = [[*begin, (words("states.missing"), style)]]
    elif mark.place == 0:
        shown = words("states.unexpected") if mark.ok is False else ""
        lines = [[*begin, (shown, style)]]
    else:
        step = steps[mark.place - 1]
        after = steps[mark.place].time if mark.place < len(steps) else None
        spent = "" if step.new is State.CLOSED else words("states.forever")
        spent = span(after - step.time, glyphs.micro) if after is not None else spent
        witnesses = ", ".join(words(f"witness.{each}") for each in step.witnesses) or words("states.not_observed")
        cause = glyphs.legible(words.caused(step.cause, glyphs.arrow))
        room = width - indent - 15
        reasons = [f"{cause}  [{witnesses}]"] if cells.width(cause) + cells.width(witnesses) + 4 <= room else []
        reasons = reasons or [*cells.wrap(cause, room), *cells.wrap(f"[{witnesses}]", room)]
        lines = [[*begin, (cells.right(spent, 13) + "  ", ""), (reasons[0], "")]]
        lines += [[(" " * (indent + 15) + more, "")] for more in reasons[1:]]
        if mark.ok is False:
            lines += _under(indent, words("states.unexpected"), "bold red", width)
        lines += _doubts(step, glyphs, words, width, indent)
    if mark.parts:
        lines += _under(2, f"{glyphs.to_right} {words('states.parts')}", "bold red", width)
    return lines


def _doubts(step: Transition, glyphs: Glyphs, words: Words, width: int, indent: int) -> Lines:
    lines: Lines = []
    if step.earliest < step.time:
        between = words("states.between", earliest=seconds(step.earliest), time=seconds(step.time))
        lines += _under(indent, between, DIM, width)
    if step.inferred and step.witnesses:
        lines += _under(indent, words("states.not_observed"), "yellow", width)
    if step.objection:
        flaw = f"{words(f'flaw.{step.flaw}')}: " if step.flaw else ""
        lines += _under(indent, f"! {flaw}{glyphs.legible(words.message(step.objection))}", "bold red", width)
    return lines


def _under(indent: int, text: str, style: str, width: int) -> Lines:
    return [[(" " * indent + line, style)] for line in cells.wrap(text, max(20, width - indent))]


def verdict(verdict: Verdict | None, record: Record, glyphs: Glyphs, words: Words, width: int) -> Lines:
    """Objections, findings, and last the verdict in one line."""
    lines: Lines = []
    if record.objections:
        lines.append([(words("verdict.objections"), "bold red")])
        for each in record.objections:
            lines += [
                [("  ! " if number == 0 else "    ", "bold red"), (line, "")]
                for number, line in enumerate(cells.wrap(glyphs.legible(words.message(each)), width - 4))
            ]
    if verdict is None:
        return lines
    shown, left_out = _selected(verdict)
    for finding in shown:
        tick = glyphs.note if finding.ok is None else glyphs.yes if finding.ok else glyphs.no
        style = "" if finding.ok is None else "green" if finding.ok else "bold red"
        wrapped = cells.wrap(glyphs.legible(words.message(finding.message or finding.text)), width - 2)
        lines += [[(f"{tick} " if number == 0 else "  ", style), (line, "")] for number, line in enumerate(wrapped)]
    if left_out:
        lines.append([(f"{glyphs.note} {words('table.more', count=left_out)}", DIM)])
    text = glyphs.legible(words.summary(verdict))
    tick, style = (glyphs.yes, "bold green") if verdict.ok else (glyphs.no, "bold red")
    if verdict.neutral:
        tick, style = glyphs.note, "bold"
    lines += [[(line, style)] for line in cells.wrap(f"{tick} {text}", width)]
    return lines


def _selected(verdict: Verdict) -> tuple[list[Finding], int]:
    """The findings to show, and the number of omitted ones; of many, all deviations and the first of the others."""
    room = FINDINGS - sum(finding.ok is False for finding in verdict.findings)
    shown = []
    for finding in verdict.findings:
        if finding.ok is False or room > 0:
            shown.append(finding)
            room -= finding.ok is not False
    return shown, len(verdict.findings) - len(shown)


def failed(failures: Sequence[str], glyphs: Glyphs, words: Words, width: int) -> Lines:
    """The failures, each in several lines, and last that the run failed."""
    if not failures:
        return []
    lines: Lines = [[(words("page.failures"), "bold red")]]
    for failure in failures:
        for line in failure.splitlines()[:FAILURE]:
            indent = len(line) - len(line.lstrip())
            wrapped = cells.wrap(glyphs.legible(line.strip()), width - 2 - min(indent, 20))
            lines += [[(" " * (2 + min(indent, 20)) + each, "")] for each in wrapped]
    return [*lines, [(f"{glyphs.no} {words('outcome.failed')}", "bold red")]]


def again(record: Record, glyphs: Glyphs, words: Words, width: int) -> Lines:
    """The command that repeats this run; complete, so that it can be copied."""
    replay = glyphs.legible(replay_as_typed(record.header.replay), REPLAY)
    if not replay:
        return []
    return [[(line, DIM)] for line in cells.wrap(f"{words('ladder.replay')} {replay}", width)]


def legend(seen: set[str], glyphs: Glyphs, words: Words, width: int) -> Lines:
    """The meaning of the marks that were drawn."""
    shown = [
        text
        for key, text in (
            ("lost", words("ladder.legend_lost", mark=glyphs.lost)),
            ("under_way", words("ladder.legend_under_way", mark=glyphs.under_way)),
            ("again", words("ladder.legend_again", mark=glyphs.again)),
            ("made", words("ladder.legend_made", mark=glyphs.made)),
            ("ignored", words("ladder.legend_ignored", mark=glyphs.ignored_right)),
            ("?", words("ladder.legend_inferred")),
            ("!", words("ladder.legend_objection")),
        )
        if key in seen
    ]
    return [[(line, DIM)] for line in _packed(shown, "   ", width)]


def _packed(parts: list[str], glue: str, width: int) -> list[str]:
    """Put as many parts on a line as fit; break parts that are longer than a line."""
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and cells.width(lines[-1]) + cells.width(glue) + cells.width(part) <= width:
            lines[-1] += glue + part
        else:
            lines += cells.wrap(part, width)
    return lines
