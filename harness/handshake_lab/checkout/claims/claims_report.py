"""The measured claims as a table, as JSON, and as a page in Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from handshake_lab.checkout.claims.claim import CHAPTERS, QUESTIONS, ClaimVerdict
from handshake_lab.checkout.claims.claim_texts import answer, proof, table
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.claims_document import ClaimDocument, ClaimsDocument, QuestionDocument
from handshake_lab.report.export.json_document import KernelDocument, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.checkout.claims.claim import ClaimOutcome
    from handshake_lab.recording.observations import KernelInfo

_COLOURS = {
    ClaimVerdict.HOLDS: "green",
    ClaimVerdict.NUANCE: "yellow",
    ClaimVerdict.FAILS: "red",
    ClaimVerdict.UNKNOWN: "red",
}


def document(outcomes: Sequence[ClaimOutcome], kernel: KernelInfo) -> ClaimsDocument:
    """The document of ``handshake claims --json``, in English."""
    lang = "en"
    claims = [
        ClaimDocument(
            id=outcome.id,
            claim=table(lang)[outcome.id]["claim"],
            verdict=Statement(outcome.verdict.name.lower(), outcome.verdict.value),
            evidence=proof(outcome, lang),
            nuance=_nuance(outcome, lang),
            as_expected=outcome.as_expected,
        )
        for outcome in outcomes
    ]
    questions = [QuestionDocument(*each) for each in _answers(outcomes, lang)]
    return ClaimsDocument(FORMAT_VERSION, KernelDocument.of(kernel), claims, questions)


def shown(outcomes: Sequence[ClaimOutcome], lang: str, *, explained: bool = False) -> Table:
    """The table for a terminal; ``explained`` adds the explanation of each nuance."""
    heading = table(lang)["table"]
    made = Table(heading["id"], show_lines=True)
    made.add_column(heading["claim"], ratio=3, overflow="fold")
    made.add_column(heading["verdict"], width=12, overflow="fold")
    made.add_column(heading["evidence"], ratio=4, overflow="fold")
    for outcome in outcomes:
        nuance = _nuance(outcome, lang) if explained else ""
        evidence = escape(proof(outcome, lang)) + (f"\n[dim]{escape(nuance)}[/dim]" if nuance else "")
        colour = _COLOURS[outcome.verdict]
        verdict = f"[{colour}]{table(lang)['verdict'][outcome.verdict]}[/{colour}]"
        made.add_row(outcome.id, escape(table(lang)[outcome.id]["claim"]), verdict, evidence)
    return made


def summary(outcomes: Sequence[ClaimOutcome], lang: str) -> str:
    """The number of claims by verdict, in one line, and the claims with an unexpected verdict."""
    words = table(lang)["table"]
    counts = Counter(outcome.verdict for outcome in outcomes)
    text = words["summary"].format(
        total=len(outcomes),
        holds=counts[ClaimVerdict.HOLDS],
        nuance=counts[ClaimVerdict.NUANCE],
        fails=counts[ClaimVerdict.FAILS],
    )
    if counts[ClaimVerdict.UNKNOWN]:
        text += words["unmeasured"].format(unknown=counts[ClaimVerdict.UNKNOWN])
    unexpected = [outcome.id for outcome in outcomes if not outcome.as_expected]
    if unexpected:
        text += "\n" + words["unexpected"].format(ids=", ".join(unexpected))
    return text


def markdown(outcomes: Sequence[ClaimOutcome], kernel: KernelInfo, lang: str) -> str:
    """The page ``docs/explanation/claims.md``."""
    return "\n".join(_page(outcomes, kernel, lang))


def _page(outcomes: Sequence[ClaimOutcome], kernel: KernelInfo, lang: str) -> Iterator[str]:
    words = table(lang)
    yield f"# {words['page']['title']}\n"
    yield words["page"]["intro"].format(release=kernel.release)
    yield f"\n{summary(outcomes, lang)}"
    found = {outcome.id: outcome for outcome in outcomes}
    for chapter, names in CHAPTERS.items():
        yield f"\n## {words['chapter'][chapter]}"
        for name in names:
            if name in found:
                yield from _section(found[name], lang)
    yield f"\n## {words['chapter']['questions']}"
    for name, asked, answered in _answers(outcomes, lang):
        yield f"\n### {name}. {asked}\n\n{answered}"
    yield ""


def _section(outcome: ClaimOutcome, lang: str) -> Iterator[str]:
    words = table(lang)
    yield f"\n### {outcome.id}: {words['verdict'][outcome.verdict]}"
    yield f"\n{words[outcome.id]['claim']}"
    yield f"\n- {words['page']['evidence']}: {proof(outcome, lang)}"
    nuance = _nuance(outcome, lang)
    if nuance:
        yield f"- {words['page']['nuance']}: {nuance}"


def _nuance(outcome: ClaimOutcome, lang: str) -> str:
    return table(lang)[outcome.id].get("nuance", "") if outcome.finding else ""


def _answers(outcomes: Sequence[ClaimOutcome], lang: str) -> Iterator[tuple[str, str, str]]:
    """Each question with its answer, if the claims that the answer is based on were measured."""
    figures = {outcome.id: outcome.finding.figures for outcome in outcomes if outcome.finding}
    for name in QUESTIONS:
        try:
            answered = answer(name, figures, lang)
        except KeyError:
            continue
        yield name, table(lang)[name]["question"], answered.strip()
