"""The claims' sentences, and what is made of pytest's report on them."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from handshake_lab.checkout.claims import claims_report, measuring
from handshake_lab.checkout.claims.claim import (
    CHAPTERS,
    CLAIMS,
    PROPERTY,
    QUESTIONS,
    ClaimFinding,
    ClaimOutcome,
    ClaimVerdict,
)
from handshake_lab.checkout.claims.claim_texts import LANGUAGES, evidence, fields, proof, table
from handshake_lab.cli.commands import claims as claims_verb
from handshake_lab.cli.commands.claims import command
from handshake_lab.errors import HandshakeError, UsageError
from handshake_lab.recording.observations import KernelInfo
from handshake_lab.report.export.json_document import Statement
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
KERNEL = KernelInfo(kind="lab", release="7.3.4", hz=250, seed=1)


def outcome(name: str, verdict: ClaimVerdict = ClaimVerdict.NUANCE) -> ClaimOutcome:
    """An outcome with a figure for every room in its sentence."""
    return ClaimOutcome(name, ClaimFinding(name, verdict, dict.fromkeys(fields(table("en")[name]["evidence"]), 7)))


def report(*cases: str) -> str:
    """A JUnit report as pytest writes it."""
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


def case(name: str, *inside: str) -> str:
    """One test in such a report."""
    return f'<testcase classname="tests.documented" name="{name}">{"".join(inside)}</testcase>'


def reported(finding: ClaimFinding) -> str:
    """What a test hands on."""
    value = msgspec.json.encode(finding).decode().replace('"', "&quot;")
    return f'<properties><property name="{PROPERTY}" value="{value}"/></properties>'


def checks() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every check in tests/documented, in the order of files and lines, with the claim its marker names."""
    for file in sorted((ROOT / "tests/documented").glob("test_*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marker = next(each for each in node.decorator_list if "mark.claim" in ast.unparse(each))
                assert isinstance(marker, ast.Call)
                yield ast.literal_eval(marker.args[0]), node


def test_languages_are_complete() -> None:
    """Both languages have the same keys, no empty sentence, and room for the same figures."""
    english, korean = (table(lang) for lang in LANGUAGES)

    assert {key: set(part) for key, part in english.items()} == {key: set(part) for key, part in korean.items()}
    for lang in (english, korean):
        assert [key for part in lang.values() for key, text in part.items() if not text.strip()] == []
    for key, part in english.items():
        for name, text in part.items():
            assert fields(text) == fields(korean[key][name]), f"{key}.{name}"


def test_every_claim_and_question_has_its_words() -> None:
    """Claims have a sentence and its evidence, questions a question and an answer, verdicts and chapters a name."""
    words = table("ko")

    assert all({"claim", "evidence"} <= words[name].keys() for name in CLAIMS)
    assert all({"question", "answer"} == words[name].keys() for name in QUESTIONS)
    assert set(words["verdict"]) == {verdict.value for verdict in ClaimVerdict}
    assert set(words["chapter"]) == {*CHAPTERS, "questions"}


def test_evidence_is_one_line() -> None:
    """A claim's evidence is a sentence without a line break."""
    assert [name for lang in LANGUAGES for name in CLAIMS if "\n" in table(lang)[name]["evidence"]] == []


def test_unknown_language_is_refused() -> None:
    """A language that is not there is named, with a correct example."""
    with pytest.raises(UsageError, match="'fr' is not one of en, ko"):
        table("fr")


def test_every_claim_is_checked_under_its_id() -> None:
    """Each claim has one check, in the order of the notes, named after it and with a docstring."""
    found = list(checks())

    assert [name for name, _ in found] == list(CLAIMS)
    for name, node in found:
        assert node.name.startswith(f"test_c{int(name[1:]):02}_")
        assert ast.get_docstring(node)


def test_page_holds_every_sentence() -> None:
    """docs/explanation/claims.md is what the command prints: every claim, nuance and question is on it."""
    for lang, name in (("en", "claims.md"), ("ko", "claims.ko.md")):
        page = (ROOT / "docs" / "explanation" / name).read_text("utf-8")
        for key, part in table(lang).items():
            for sentence in (part.get(kind, "") for kind in ("claim", "nuance", "question")):
                assert key in ("page", "table") or sentence in page, (
                    f"{name} lacks {key}: run handshake claims --markdown"
                )


def test_report_of_a_check_that_passed() -> None:
    """What the test found is read from its property."""
    finding = ClaimFinding("C19", ClaimVerdict.NUANCE, {"apart": 4, "at_once": 3, "crossing": 4})
    (read,) = measuring.read(report(case("test_c19_four_segments", reported(finding))))

    assert read == ClaimOutcome("C19", finding)
    assert read.as_expected
    assert evidence(finding, "en").startswith("4 segments when the peer closed later, 3 when")


@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        ('<failure message="AssertionError: assert 3 == 4&#10;more"/>', ClaimVerdict.FAILS),
        ('<failure message="assert 3 == 4"/>', ClaimVerdict.FAILS),
        ('<failure message="Failed: DID NOT RAISE OSError"/>', ClaimVerdict.FAILS),
        ('<failure message="the lab kernel crashed"/>', ClaimVerdict.UNKNOWN),
        ('<error message="failed on teardown: FaultNeverFired"/>', ClaimVerdict.UNKNOWN),
        ('<skipped message="because"/>', ClaimVerdict.UNKNOWN),
        ("", ClaimVerdict.UNKNOWN),
    ],
)
def test_report_of_a_check_that_did_not_pass(trouble: str, verdict: ClaimVerdict) -> None:
    """A failed assertion means that the claim does not hold here; anything else, that nothing was found out."""
    (read,) = measuring.read(report(case("test_c19_four_segments", trouble)))

    assert (read.finding, read.verdict, read.as_expected) == (None, verdict, False)
    assert "\n" not in proof(read, "ko")
    assert proof(read, "ko")


def test_a_finding_does_not_count_where_the_check_failed_after_it() -> None:
    """A test that failed at its end, as where a fault never fired, has found nothing."""
    finding = ClaimFinding("C19", ClaimVerdict.NUANCE, {"apart": 4, "at_once": 3, "crossing": 4})
    trouble = '<error message="failed on teardown: FaultNeverFired"/>'
    (read,) = measuring.read(report(case("test_c19_four_segments", reported(finding), trouble)))

    assert read.finding is None


def test_report_with_a_stranger_is_refused() -> None:
    """A test that is no claim's check is an error, not left out."""
    with pytest.raises(HandshakeError, match="test_other"):
        measuring.read(report(case("test_other")))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_page(lang: str) -> None:
    """The page has each claim's verdict and the answers."""
    outcomes = [outcome(name) for name in CLAIMS]
    page = claims_report.markdown(outcomes, KERNEL, lang)

    assert f"### C19: {table(lang)['verdict']['holds with a nuance']}" in page
    assert table(lang)["Q3"]["question"] in page
    assert "{" not in page


def test_document() -> None:
    """Every claim with the code and the text of its verdict, and every question."""
    made = claims_report.document([outcome(name) for name in CLAIMS], KERNEL)

    assert [each.id for each in made.claims] == list(CLAIMS)
    assert {each.verdict for each in made.claims} == {Statement("nuance", "holds with a nuance")}
    assert [each.id for each in made.questions] == list(QUESTIONS)


def test_questions_without_their_figures_are_left_out() -> None:
    """A question is answered only if the claims for its answer were measured."""
    made = claims_report.document([outcome("C27")], KERNEL)

    assert [each.id for each in made.questions] == ["Q3"]


class Chosen:
    """Stands in for a kernel that was found."""

    info = KERNEL


def run(monkeypatch: pytest.MonkeyPatch, outcomes: list[ClaimOutcome], *words: str) -> tuple[int, str]:
    """The command's exit status and output where the checks come to these outcomes."""

    def measured(kernel: str, seed: int, only: list[str]) -> list[ClaimOutcome]:
        assert (kernel, seed) == ("lab", 1)
        return [each for each in outcomes if not only or each.id in only]

    monkeypatch.setattr(measuring, "measure", measured)
    monkeypatch.setattr(claims_verb, "choose_kernel", lambda *_: Chosen())
    result: Any = CliRunner().invoke(command, list(words), standalone_mode=False)
    assert result.exception is None
    return result.return_value, result.output


def test_exit_status_0_where_all_came_out_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nuance is what the project expects, and is no failure."""
    status, output = run(monkeypatch, [outcome("C1", ClaimVerdict.HOLDS), outcome("C19")])

    assert status == 0
    assert "2 claims: 1 hold, 1 hold with a nuance, 0 do not hold here" in output


def test_exit_status_1_where_one_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim whose check failed does not hold here: the output contains the reason, and at the end its id."""
    broken = ClaimOutcome("C2", None, "AssertionError: assert 'SA' == 'S'")
    status, output = run(monkeypatch, [outcome("C1"), broken], "--lang", "ko")

    assert status == 1
    assert "'SA' == 'S'" in output
    assert output.endswith("예상과 다른 결과: C2\n")


def test_json_of_chosen_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are accepted in either case, and reported in the order of the notes."""
    status, output = run(monkeypatch, [outcome("C1"), outcome("C19")], "c19", "--json")

    assert status == 0
    assert [each["id"] for each in json.loads(output)["claims"]] == ["C19"]


def test_unknown_claim_is_refused() -> None:
    """An id that is none is named, with those that there are."""
    with pytest.raises(UsageError, match="'C28' is not a claim; the claims are C1 to C27"):
        CliRunner().invoke(command, ["C28"], standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", range(70, 131, 10))
def test_table_loses_no_words(lang: str, width: int) -> None:
    """However wide the terminal is, no word is cut: wide characters take two columns."""
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(claims_report.shown([outcome(name) for name in CLAIMS], lang, explained=True))

    assert "…" not in console.export_text()
