"""The results of a class: CSV, a report in Markdown, Gradescope's results.json, and JUnit."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec

from handshake_lab.courses.phrases import feedback, phrase
from handshake_lab.report.text.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from handshake_lab.courses.grading import Graded, Result

#: The files that `write_reports` writes.
CSV, REPORT, JUNIT, GRADESCOPE = "grades.csv", "report.md", "junit.xml", "gradescope"
#: Characters of an answer that a report shows.
_SHOWN = 120
_LONGEST_TEXT = 1500


def explanation(result: Result, lang: str) -> str:
    """Why a hand-in was not graded; "" if it was."""
    if result.detail:
        return visible(phrase(lang, f"detail.{result.detail}", **result.values))
    return visible(str(result.values.get("text", "")))


def write_reports(results: Sequence[Result], out: Path, lang: str) -> list[Path]:
    """Write all reports to a directory.

    Args:
        results: The results.
        out: The directory; it is made.
        lang: The language of the texts.

    Returns:
        The files, without those for Gradescope.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / CSV).write_text(as_csv(results, lang), "utf-8-sig")  # the mark makes spreadsheets read Korean
    (out / REPORT).write_text(class_report(results, lang), "utf-8")
    (out / JUNIT).write_bytes(junit(results, lang))
    (out / GRADESCOPE).mkdir(exist_ok=True)
    for number, result in enumerate(results, 1):
        name = result.student or f"file-{number}"
        file = out / GRADESCOPE / f"{number:03}-{name}" / "results.json"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gradescope(result, lang))
    return [out / CSV, out / REPORT, out / JUNIT]


def as_csv(results: Sequence[Result], lang: str) -> str:
    """One row for each hand-in, with a column for each question."""
    questions = list(dict.fromkeys(f"{each.unit}/{answer.question}" for each in results for answer in each.answers))
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(["student", "unit", "status", "score", "points", *questions, "detail", "file"])
    for result in results:
        judged = (each for each in result.answers if each.judgement.right is not None)
        scores = {f"{result.unit}/{each.question}": f"{each.score:g}" for each in judged}
        graded = result.status == "graded"
        row = [result.student, result.unit, result.status, f"{result.score:g}" if graded else "0"]
        row += [f"{result.points:g}" if graded else "", *(scores.get(name, "") for name in questions)]
        table.writerow([_cell(each) for each in [*row, explanation(result, lang), visible(result.file)]])
    return written.getvalue()


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def class_report(results: Sequence[Result], lang: str) -> str:
    """What an instructor reads: what most got wrong, what needs attention, the free answers. Markdown."""
    graded = [result for result in results if result.status == "graded"]
    average = sum(result.score for result in graded) / len(graded) if graded else 0.0
    points = max((result.points for result in graded), default=0.0)
    counts = {"graded": len(graded), "all": len(results), "average": f"{average:.1f}", "points": f"{points:g}"}
    lines = [f"# {phrase(lang, 'report.title')}", "", phrase(lang, "report.summary", **counts), ""]
    others = [result for result in results if result.status != "graded"]
    if others:
        lines += [f"## {phrase(lang, 'report.statuses')}", ""]
        lines += _header(lang, "student", "file", "status")
        lines += [
            _row(each.student, each.file, f"{phrase(lang, f'status.{each.status}')}: {explanation(each, lang)}")
            for each in others
        ]
        lines.append("")
    for unit in sorted({result.unit for result in graded}):
        lines += _questions([each for each in graded if each.unit == unit], unit, lang)
    return "\n".join(lines)


def _questions(graded: Sequence[Result], unit: str, lang: str) -> list[str]:
    by_question: dict[str, list[tuple[str, Graded]]] = {}
    for result in graded:
        for answer in result.answers:
            by_question.setdefault(answer.question, []).append((result.student, answer))
    judged = {
        name: found for name, found in by_question.items() if any(a.judgement.code != "collected" for _, a in found)
    }
    judged = {
        name: found for name, found in judged.items() if found[0][1].points or any(a.judgement.right for _, a in found)
    }
    rights = {name: sum(bool(a.judgement.right) for _, a in found) for name, found in judged.items()}
    lines = [f"## {unit}: {phrase(lang, 'report.questions')}", ""]
    lines += _header(lang, "question", "right", "tries", "hints", "misconception")
    for name in sorted(judged, key=lambda each: rights[each]):
        found = judged[name]
        wrong = Counter(answer.meaning.strip() for _, answer in found if not answer.judgement.right and answer.answer)
        most = f"{_short(wrong.most_common(1)[0][0])} ({wrong.most_common(1)[0][1]})" if wrong else ""
        tries, hints = sum(answer.attempts for _, answer in found), sum(answer.hint for _, answer in found)
        lines.append(_row(f"`{name}`", f"{rights[name]}/{len(found)}", tries, hints, most))
    lines += ["", f"## {unit}: {phrase(lang, 'report.students')}", "", *_header(lang, "student", "score")]
    lines += [_row(each.student, f"{each.score:g}/{each.points:g}") for each in graded]
    lines.append("")
    texts = [(name, student, answer) for name, found in by_question.items() for student, answer in found]
    free = [(name, student, answer) for name, student, answer in texts if answer.judgement.code == "collected"]
    if free:
        lines += [f"## {unit}: {phrase(lang, 'report.texts')}", ""]
        for name, student, answer in free:
            quoted = "\n".join(f"> {_plain(line)}" for line in answer.answer[:_LONGEST_TEXT].splitlines())
            lines += [f"`{name}`, {student}:", "", quoted, ""]
    return lines


def _header(lang: str, *names: str) -> list[str]:
    return [_row(*(phrase(lang, f"report.{name}") for name in names)), _row(*("---" for _ in names))]


def _row(*cells: object) -> str:
    return f"| {' | '.join(_plain(str(cell)) for cell in cells)} |"


def _plain(text: str) -> str:
    """Text in Markdown, without markup of its own: no columns, no HTML, no links and images."""
    return visible(text, _LONGEST_TEXT).replace("|", "\\|").replace("<", "&lt;").replace("](", "]\\(")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def gradescope(result: Result, lang: str) -> bytes:
    """The result of one student as Gradescope's ``results.json``.

    See https://gradescope-autograders.readthedocs.io/en/latest/specs/.
    """
    document: dict[str, object] = {"score": result.score, "visibility": "visible", "stdout_visibility": "hidden"}
    if result.status == "graded":
        document["tests"] = [
            {
                "name": answer.question,
                "score": answer.score,
                "max_score": answer.points,
                "status": "passed" if answer.judgement.right is not False else "failed",
                "output": visible(feedback(lang, answer.judgement), 1000),
            }
            for answer in result.answers
        ]
    else:
        document["output"] = f"{phrase(lang, f'status.{result.status}')}: {explanation(result, lang)}"
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def junit(results: Sequence[Result], lang: str) -> bytes:
    """All results as JUnit XML: a suite for each hand-in, a case for each question."""
    root = ET.Element("testsuites")
    for result in results:
        name = result.student or visible(result.file)
        suite = ET.SubElement(root, "testsuite", name=name)
        failures = 0
        for answer in result.answers:
            case = ET.SubElement(suite, "testcase", classname=result.unit, name=answer.question)
            if answer.judgement.right is False:
                failures += 1
                ET.SubElement(case, "failure", message=visible(feedback(lang, answer.judgement), 1000))
            elif answer.judgement.right is None:
                ET.SubElement(case, "skipped")
        if result.status != "graded":
            case = ET.SubElement(suite, "testcase", classname=result.unit or "hand-in", name="hand-in")
            ET.SubElement(
                case, "error", message=f"{phrase(lang, f'status.{result.status}')}: {explanation(result, lang)}"
            )
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(failures))
        suite.set("errors", str(int(result.status != "graded")))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'.encode()
