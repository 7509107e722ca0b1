"""Every sentence of a report exists in every language."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from report_records import lost_syn_ack

import harness
from harness.errors import UsageError
from harness.report.words import LANGUAGES, words
from harness.timeline import sentences
from harness.timeline.history import Cause
from harness.timeline.verdict import judge

_CODE = [
    path.read_text("utf-8")
    for path in Path(harness.__file__).parent.rglob("*")
    if path.suffix in (".py", ".j2") and ("report" in path.parts or path.name in ("show.py", "report.py"))
]


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_keys_are_the_same_in_every_language(lang: str) -> None:
    """Nothing is missing, nothing is left over."""
    assert words("en").keys == words(lang).keys


@pytest.mark.parametrize("lang", LANGUAGES)
def test_values_stand_in_the_same_places(lang: str) -> None:
    """A translation takes the values that the English sentence takes."""
    different = [
        key for key in words("en").keys if _places(words("en").template(key)) != _places(words(lang).template(key))
    ]

    assert different == []


def test_korean_is_korean() -> None:
    """Apart from names that Korean courses leave in English, every sentence has Hangul."""
    ko = words("ko")
    latin = {key for key in ko.keys if not re.search("[가-힣]", re.sub(r"\{.*?\}", "", ko.template(key)))}
    names = {"witness.tracepoint", "witness.diag", "witness.ss"}
    values = {"ladder.title", "ladder.wait", "ladder.wait_timer", "states.heading"}
    values |= {"finding.way", "finding.lie", "finding.segment"}

    assert latin <= names | values


def test_every_key_that_is_asked_for_exists() -> None:
    """Keys written out in code and templates are all there."""
    calls = re.compile(r"""(?:\bw|words|tongue)\(\s*["']([a-z_]+\.[a-z_]+)["']""")
    asked = {key for code in _CODE for key in calls.findall(code)}

    assert len(asked) > 60
    assert asked <= words("en").keys


def test_every_key_is_asked_for() -> None:
    """No sentence is translated in vain: each key, or the end of it, is written somewhere."""
    code = "\n".join(_CODE)
    unused = {
        key
        for key in words("en").keys
        if key not in code and not re.search(rf"""["']{key.partition(".")[2]}["']""", code)
    }
    # Keys made from the values of a type, such as a witness or a claim's verdict.
    made = {"witness", "role", "claim", "flaw", "finding"}

    assert {key for key in unused if key.partition(".")[0] not in made} <= {"page.begins", "page.ends"}


def test_causes_are_translated_where_they_are_known() -> None:
    """A record tells causes in English; the usual ones are said in the reader's language."""
    ko = words("ko")

    assert ko.cause(Cause("segment", "received SYN-ACK", 2)) == "SYN-ACK 수신"
    assert ko.cause(Cause("timer", "the TIME-WAIT timer")) == "TIME-WAIT 타이머"
    assert ko.cause(Cause("call", "close()")) == "close()"
    assert ko.cause(Cause("unknown", "")) == "원인 불명"


def test_language_that_there_is_not_is_refused() -> None:
    """With what was given, why not, and what would be right."""
    with pytest.raises(UsageError, match=r"'fr' is not one of en, ko"):
        words("fr")


def test_verdicts_are_said_in_the_readers_language() -> None:
    """A verdict says its findings by kind: in English it is the finding's text, in Korean there is Hangul in it."""
    story = lost_syn_ack()
    verdict = judge(story)
    english = [words("en").said(finding.said, finding.text) for finding in verdict.findings]
    korean = [words("ko").said(finding.said, finding.text) for finding in verdict.findings]

    assert english == [finding.text for finding in verdict.findings]
    assert "h1: SYN 재전송, 1.02 s 뒤: 확인 응답인 세그먼트 2이 손실됨" in korean
    assert words("ko").summary(verdict) == "문서와 일치: 전이 5개 모두 RFC 9293 상태 다이어그램의 간선"


def test_every_sentence_of_a_verdict_is_one_that_there_is() -> None:
    """No kind is said that no language has, and none is kept that nobody says."""
    code = "\n".join(path.read_text("utf-8") for path in Path(harness.__file__).parent.glob("timeline/*.py"))
    written = set(re.findall(r'"([a-z_]+)"', code.replace(Path(sentences.__file__).read_text("utf-8"), "")))

    assert set(re.findall(r'\bsay\(\s*"([a-z_]+)"', code)) <= set(sentences.SENTENCES)
    assert set(sentences.SENTENCES) <= written
