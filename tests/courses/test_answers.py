"""Reading and judging answers, the texts of units, steps: all that needs no kernel."""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from handshake_lab.courses import judging
from handshake_lab.courses.confinement import LONGEST_PROGRAM
from handshake_lab.courses.folder import Folder
from handshake_lab.courses.judging import Judgement, judge_answer
from handshake_lab.courses.keys import Key
from handshake_lab.courses.numbers import NumberSpec, draw, seed_of, shuffled
from handshake_lab.courses.phrases import LANGUAGES, feedback, table
from handshake_lab.courses.unit import SHIPPED, Question, load_unit, units
from handshake_lab.courses.unit_text import UnitText
from handshake_lab.courses.work import Work
from handshake_lab.errors import UsageError
from handshake_lab.plan.steps import VERBS, parse_steps
from handshake_lab.recording.observations import Program

if TYPE_CHECKING:
    from pathlib import Path


def judged(kind: str, answer: str, value: object, **key: object) -> Judgement:
    """Judge an answer of a kind that needs no run."""
    question = Question(id="q", kind=kind, experiment="plain", timer=bool(key.pop("timer", False)))  # type: ignore[arg-type]
    return judge_answer(None, question, answer, Key(value, **key), 1, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        "CLOSED SYN-SENT ESTABLISHED",
        "SYN-SENT, ESTABLISHED",
        "syn_sent -> estab",
        "SYN-SENT → ESTABLISHED",
        "SYN_SENT\nESTABLISHED",
    ],
)
def test_states_in_every_spelling(answer: str) -> None:
    """Of the RFC, of ss, of C; with and without the first CLOSED."""
    assert judged("states", answer, ["CLOSED", "SYN-SENT", "ESTABLISHED"]).right


def test_the_first_wrong_state_is_named_by_what_contradicts_it() -> None:
    """Its place counts without the states that may be left out."""
    evidence = ("", "connect()", "#2 SYN-ACK", "#5 FIN-ACK")
    value = ["CLOSED", "SYN-SENT", "ESTABLISHED", "CLOSE-WAIT"]
    wrong = judged("states", "SYN-SENT ESTABLISHED FIN-WAIT-1", value, evidence=evidence)
    short = judged("states", "SYN-SENT", value, evidence=evidence)
    long = judged("states", "SYN-SENT ESTABLISHED CLOSE-WAIT LAST-ACK", value, evidence=evidence)

    assert wrong == Judgement(False, "states", {"place": 3, "evidence": "#5 FIN-ACK"})
    assert short == Judgement(False, "states", {"place": 2, "evidence": "#2 SYN-ACK"})
    assert long == Judgement(False, "states_too_many", {"place": 3})


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [("1.5", 1.5), ("1.5 s", 1.5), ("250ms", 0.25), ("1.5초", 1.5), ("1분", 60.0), ("soon", None), ("-1 s", None)],
)
def test_times(answer: str, seconds: float | None) -> None:
    """Seconds are the default."""
    assert judging.read_time(answer) == seconds


@pytest.mark.parametrize(
    ("answer", "timer", "right"),
    [
        ("61.6 s", True, True),
        ("60 s", True, True),
        ("60 s", False, False),
        ("54 s", True, False),
        ("70 s", True, False),
        ("61 s", False, True),
    ],
)
def test_a_timer_may_be_late_by_an_eighth(answer: str, *, timer: bool, right: bool) -> None:
    """Whoever knows the documented 60 s is right, though the kernel's timer took 61.6 s (kernel/time/timer.c)."""
    assert judged("time", answer, 61.6, timer=timer).right is right


@pytest.mark.parametrize(
    ("kind", "answer", "value", "right"),
    [
        ("fields", "1 18 16", [1, 18, 16], True),
        ("fields", "A=1, B=18, C=16", [1, 18, 16], True),
        ("fields", "1 18", [1, 18, 16], False),
        ("order", "bac", ["b", "a", "c"], True),
        ("order", "b, a, c", ["b", "a", "c"], True),
        ("order", "b a", ["b", "a", "c"], False),
        ("choice", "(b)", "b", True),
        ("choice", "B.", "b", True),
        ("choice", "ab", "b", False),
        ("segment", "#9", 9, True),
        ("number", "1,000", 1000, True),
        ("number", "many", 3, False),
        ("number", "  ", 3, False),
    ],
)
def test_other_answers(kind: str, answer: str, value: object, *, right: bool) -> None:
    """As students write them."""
    lettered = {"A": "#1", "B": "#2", "C": "#3"}
    assert judged(kind, answer, value, lettered=lettered, evidence=("#1", "#2", "#3")).right is right


def test_a_free_answer_is_not_judged() -> None:
    """A person reads it."""
    assert judged("text", "because", "").right is None


@pytest.mark.parametrize("text", ["#" * (LONGEST_PROGRAM + 1), "가" * (LONGEST_PROGRAM // 3 + 1)])
def test_a_program_that_is_too_long_is_not_run(text: str) -> None:
    """It is refused by its bytes, not cut: the laboratory, which is None here, is not asked for a run."""
    question = Question(id="mend", kind="program", experiment="leak", program="server.py", passes=("true",))
    judged = judge_answer(None, question, text, Key(""), 1, None)

    assert judged == Judgement(False, "program_too_long", {"most": LONGEST_PROGRAM})
    assert all(str(LONGEST_PROGRAM) in feedback(lang, judged) for lang in LANGUAGES)


def test_a_program_of_a_folder_stays_too_long(tmp_path: Path) -> None:
    """What is handed in of a file that is too long is not a shorter program that could pass."""
    unit = load_unit(SHIPPED / "07-close-wait-leak")
    work = Work(unit=unit.name, version=unit.file.version, package="0", student="kim", course="", seed=1, lang="en")
    (tmp_path / "server.py").write_text("가" * LONGEST_PROGRAM, "utf-8")
    text = Folder(tmp_path, unit, work).answers()["mend"]
    found = judge_answer(unit, unit.question("mend"), text, Key(""), 1, None)

    assert found.code == "program_too_long"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_phrases_are_the_same_in_every_language(lang: str) -> None:
    """The same keys with the same places; Korean is Korean."""
    places = {key: {name for _, name, _, _ in Formatter().parse(text) if name} for key, text in table("en").items()}

    assert {key: {n for _, n, _, _ in Formatter().parse(text) if n} for key, text in table(lang).items()} == places
    if lang == "ko":
        plain = {key: re.sub(r"\{.*?\}", "", text) for key, text in table("ko").items()}
        values = {"work.prediction", "work.checked", "work.hint"}
        assert {key for key, text in plain.items() if not re.search("[가-힣]", text)} <= values


def test_every_judgement_has_a_phrase() -> None:
    """Each code that is written in the module."""
    from pathlib import Path

    codes = re.findall(r'Judgement\((?:True|False|None), "(\w+)"', Path(judging.__file__).read_text("utf-8"))

    assert len(codes) > 15
    assert {f"feedback.{code}" for code in codes} <= table("en").keys()
    assert feedback("ko", Judgement(True, "right")) == "정답"


def test_a_seed_is_of_a_student_in_a_course() -> None:
    """Upper and lower case are one id; another year has another seed."""
    assert seed_of("Kim", "net-2026") == seed_of("kim", "net-2026")
    assert len({seed_of("kim", "net-2026"), seed_of("kim", "net-2027"), seed_of("lee", "net-2026")}) == 3


def test_numbers_of_students_differ() -> None:
    """All values occur, and no others."""
    spec = NumberSpec(from_=20, to=35, step=5)

    assert {spec.value("delay", seed) for seed in range(100)} == {20, 25, 30, 35}
    assert sorted(shuffled(7, "q", list("abcdef"))) == list("abcdef")
    assert len({tuple(shuffled(seed, "q", list("abcd"))) for seed in range(200)}) == 24
    assert {draw(seed, "x", 3) for seed in range(50)} == {0, 1, 2}


def test_a_text_has_sections_options_and_hints() -> None:
    """Options may take two lines; hints are not part of the question."""
    text = UnitText.parse(
        "# Title\nIntro.\n\n## one\nWhy?\n\n- a: first\n  and more\n- b: second\n\n> Look.\n", "en.md"
    )

    assert (text.title, text.introduction) == ("Title", "Intro.")
    assert text.sections["one"].text == "Why?"
    assert text.sections["one"].options == {"a": "first and more", "b": "second"}
    assert text.sections["one"].hint == "Look."


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("h1 conect h2:80", "the nearest is 'connect'"),
        ("h1 connect h2", "is not complete"),
        ("h1 send", "is not complete"),
        ("h1 listen 80 backlg=3", "'backlg' is unknown"),
        ("h1 close 80", "is not complete"),
        ("wait h1 SLEEPING", "is not a state of TCP"),
        ("wait 5 parsecs", "is not a state of TCP"),
    ],
)
def test_invalid_steps_are_refused(step: str, what: str) -> None:
    """Before a kernel is started."""
    with pytest.raises(UsageError, match=re.escape(what)):
        parse_steps(step)


def test_steps_are_lines() -> None:
    """With comments, names and options."""
    steps = parse_steps(
        "h2 listen 80 backlog=1\n\nh1.second connect h2:80 from=4000 begin  # a comment\nwait closed 5s"
    )

    assert [step.verb for step in steps] == ["listen", "connect", "wait"]
    assert (steps[1].host, steps[1].name, steps[1].options) == ("h1", "second", {"from": "4000", "begin": ""})
    assert set(VERBS) >= {"listen", "connect", "accept", "read", "send", "close"}


def test_units_have_both_languages() -> None:
    """The same questions, options and hints in each."""
    found = units()

    assert found
    for unit in found:
        assert set(unit.texts) == set(LANGUAGES), unit.name
        hints = [[name for name, each in unit.texts[lang].sections.items() if each.hint] for lang in LANGUAGES]
        assert hints[0] == hints[1], unit.name
        assert all(question.points for question in unit.file.questions if question.kind != "text")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('kind = "time"', 'kind = "tim"', "Invalid enum value 'tim'"),
        ('experiment = "lost-syn"', 'experiment = "lost"', "'lost' is not an experiment"),
        ("key = ", "kye = ", "kye"),
        ("options.server", "options.srv", "needs the options client, srv"),
        ('id = "how-long"', 'id = "who-waits"', "two with one id"),
        ("from = 20, to = 90, step = 5", "from = 90, to = 20", "has no values"),
    ],
)
def test_what_is_wrong_with_a_unit_is_named(tmp_path: Path, old: str, new: str, what: str) -> None:
    """With the place."""
    from handshake_lab.courses.new_unit import new_unit

    folder = tmp_path / "unit"
    new_unit(folder)
    text = (folder / "unit.toml").read_text()
    assert old in text
    (folder / "unit.toml").write_text(text.replace(old, new, 1))

    with pytest.raises(UsageError, match=re.escape(what)):
        load_unit(folder)


def test_the_page_is_made_from_the_code() -> None:
    """The tables of docs/courses.md."""
    import runpy
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "courses.md"
    made = runpy.run_path(str(page.with_name("make_courses_page.py")))["made"]

    assert made(page.read_text("utf-8")) == page.read_text("utf-8"), "run docs/make_courses_page.py"


def test_the_line_of_standard_error_is_cut(tmp_path: Path) -> None:
    """The last one that is not empty; a program may write one that fills the terminal."""
    (tmp_path / "server.err").write_text(f"first\n{'x' * 3000}\n\n", "utf-8")
    started = Program(0, "h2", "server", "python3 server.py", "starts")
    line = judging._last_stderr_line(Mock(observations=[started], directory=tmp_path), "server.py")

    assert line.startswith("x" * 200)
    assert "x" * 201 not in line
