"""Every sentence of a report exists in every language."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import handshake_lab
import pytest
from handshake_lab.errors import UsageError
from handshake_lab.recording import messages
from handshake_lab.recording.history import Cause
from handshake_lab.recording.messages import SENTENCES, sentence
from handshake_lab.report.text.translations import LANGUAGES, words
from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.verdict.judge import judge
from report_records import lost_syn_ack

_CODE = [
    path.read_text("utf-8")
    for path in Path(handshake_lab.__file__).parent.rglob("*")
    if path.suffix in (".py", ".j2")
    and ({"report", "serve"} & set(path.parts) or path.name in ("show.py", "report.py", "state_comparison.py"))
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
    names = {"witness.tracepoint", "witness.diag", "witness.ss", "curve.cwnd", "curve.ssthresh", "curve.sack"}
    values = {"ladder.title", "ladder.wait", "ladder.wait_timer", "states.heading", "states.numbered"}
    parts = ("documented", "segment", "several", "outline_list", "outline_many")
    values |= {f"message.{kind}" for kind in parts} | {"plot_unit.rtt", "plot_unit.throughput"}
    calls = {f"message.edge.{edge.id}" for edge in EDGES if edge.event == "SOCK_DESTROY (ss -K)"}

    assert latin <= names | values | calls


def test_every_key_that_is_asked_for_exists() -> None:
    """Keys written out in code and templates are all there."""
    calls = re.compile(r"""(?:\bw|words|texts)\(\s*["']([a-z_]+\.[a-z_]+)["']""")
    asked = {key for code in _CODE for key in calls.findall(code)}

    assert len(asked) > 60
    assert asked <= words("en").keys


def test_every_key_is_asked_for() -> None:
    """No unused texts: each key, or its last part, occurs in the code."""
    code = "\n".join(_CODE)
    unused = {
        key
        for key in words("en").keys
        if key not in code and not re.search(rf"""["']{key.partition(".")[2]}["']""", code)
    }
    # Keys made from the values of a type, such as a witness or a claim's verdict.
    made = {"witness", "role", "claim", "flaw", "message", "tally", "link", "plot_kind", "plot_unit", "curve", "fate"}

    assert {key for key in unused if key.partition(".")[0] not in made} <= {"page.begins", "page.ends"}


def test_causes_and_objections_are_in_the_readers_language() -> None:
    """They are values until they are shown; a call is shown as the program made it."""
    ko = words("ko")
    cause = Cause("segment", sentence("received", what="SYN-ACK"), 2)
    doubt = sentence("several", first=sentence("expiry_unobserved"), other=sentence("no_path"))

    assert (cause.text, ko.message(cause.message)) == ("received SYN-ACK", "SYN-ACK 수신")
    assert ko.message(Cause("timer", sentence("time_wait_timer")).message) == "TIME-WAIT 타이머 만료"
    assert ko.message(Cause("call", "close()").message) == "close()"
    assert str(doubt).endswith("whether it ended was not observed; no path of transitions leads to this state")
    assert ko.message(doubt) == f"{ko.message(sentence('expiry_unobserved'))}; 이 상태에 이르는 전이 경로가 없음"


def test_the_number_of_a_segment_stands_behind_its_name() -> None:
    """In English the name is at the end of the sentence, in Korean it is not; a call is followed by its segment."""
    received = Cause("segment", sentence("received", what="ACK"), 9)
    cookie = Cause("segment", sentence("received_cookie"), 3)
    call = Cause("call", "connect()", 1)

    assert [words("en").caused(each, "->") for each in (received, cookie, call)] == [
        "received ACK #9",
        "received ACK with a valid SYN cookie #3",
        "connect() -> #1",
    ]
    assert [words("ko").caused(each, "->") for each in (received, cookie, call)] == [
        "ACK(#9) 수신",
        "유효한 SYN 쿠키가 담긴 ACK 수신(#3)",
        "connect() -> #1",
    ]


def test_language_that_there_is_not_is_refused() -> None:
    """With the value, the reason and an example."""
    with pytest.raises(UsageError, match=r"'fr' is not one of en, ko"):
        words("fr")


def test_verdicts_are_in_the_readers_language() -> None:
    """The findings of a verdict are translated: English is the finding's own text, Korean contains Hangul."""
    story = lost_syn_ack()
    verdict = judge(story)
    english = [words("en").message(finding.message or "") for finding in verdict.findings]
    korean = [words("ko").message(finding.message or "") for finding in verdict.findings]

    assert english == [finding.text for finding in verdict.findings]
    assert "h1: 확인 응답(#2)이 손실되어 1.02초 뒤 SYN 재전송" in korean
    assert words("ko").summary(verdict) == "RFC와 일치: 상태 전이 5개가 모두 RFC 9293 상태도에 있음"


def test_every_sentence_of_a_verdict_is_one_that_there_is() -> None:
    """Every text that is used exists, and every text that exists is used; the texts of edges are their events."""
    code = "\n".join(path.read_text("utf-8") for path in Path(handshake_lab.__file__).parent.rglob("*.py"))
    written = set(re.findall(r'"([a-z_0-9]+)"', code.replace(Path(messages.__file__).read_text("utf-8"), "")))

    assert set(re.findall(r'\bsay\(\s*"([a-z_0-9]+)"', code)) <= set(messages.SENTENCES)
    assert {kind for kind in messages.SENTENCES if not kind.startswith("edge.")} <= written


def test_no_korean_particle_depends_on_a_value() -> None:
    """이 or 가, 은 or 는: which is right depends on how the value is read, so no sentence has one after a value."""
    ko = words("ko")
    wrong = [key for key in ko.keys if re.search(r"\}(이|가|은|는|을|를|과|와|로|으로)(?![가-힣])", ko.template(key))]

    assert wrong == []


def test_every_code_that_is_written_has_a_sentence() -> None:
    """And every sentence is used somewhere: the table of docs/reference/json.md has nothing that cannot occur."""
    package = Path(__file__).parents[2] / "harness" / "handshake_lab"
    trees = [ast.parse(file.read_text("utf-8")) for file in package.rglob("*.py") if file.name != "messages.py"]
    strings = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    called = {
        node.args[0].value
        for tree in trees
        if any(_imports_sentence(node) for node in ast.walk(tree))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sentence"
        if node.args and isinstance(node.args[0], ast.Constant)
    }

    assert len(called) > 50
    assert called <= set(SENTENCES)
    assert {code for code in SENTENCES if not code.startswith("edge.")} <= strings


def _imports_sentence(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and any(each.name == "sentence" for each in node.names)
