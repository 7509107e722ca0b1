"""A test that fails leaves a page that shows at its top where the states differ from the expected ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import Failure

if TYPE_CHECKING:
    from plugin.conftest import Project

_LEAVES_CLOSE_WAIT = """
    def test_it(net):
        server = net.h2.listen(80)
        client = net.h1.connect(server)
        accepted, _ = server.accept()
        client.close()
        net.sleep(1)
        assert net.history(accepted).states[-2:] == ["ESTABLISHED", "LAST-ACK"]
"""


def test_page_of_a_failing_test(project: Project) -> None:
    """What was asserted, that it failed though TCP did as documented, and the state that was not reached."""
    project.write(test_it=_LEAVES_CLOSE_WAIT)
    project.run("--handshake-artifacts=kept").assert_outcomes(failed=1)
    html = (project.path / "kept/test_it.py-test_it/index.html").read_text("utf-8")
    index = (project.path / "kept/index.html").read_text("utf-8")
    failure = html.index("assert other states than expected")

    assert '<span class="badge bad">✗ failed</span> <span class="badge quiet">✓ as documented' in html
    differs = html.index("first difference from the expected states")
    assert html.index("Failures") < failure < differs < html.index("<svg")
    assert "first difference at state 2: CLOSE-WAIT instead of LAST-ACK" in html
    assert '<span class="chip no">LAST-ACK</span>' in html
    assert "assert other states than expected" in index


def test_record_of_a_failing_test_says_why_it_failed(project: Project) -> None:
    """In few lines, before its end, so that it is shown with the record later."""
    project.write(test_it=_LEAVES_CLOSE_WAIT)
    project.run().assert_outcomes(failed=1)
    log = read(project.path / "handshake-artifacts/test_it.py-test_it")
    reported = [each.what for each in log.observations if isinstance(each, Failure)]

    assert log.cut == ""
    assert len(reported) == 1
    assert reported[0].startswith("assert other states than expected\n  recorded: ESTABLISHED → CLOSE-WAIT\n")
    assert reported[0].endswith("\n\ntest_it.py:7: " + _LEAVES_CLOSE_WAIT.strip().splitlines()[-1].strip())


def test_in_korean(project: Project) -> None:
    """Ladder, page and index; messages of Python are not changed."""
    project.write(test_it=_LEAVES_CLOSE_WAIT)
    result = project.run("--handshake-artifacts=kept", "--handshake-lang=ko")
    html = (project.path / "kept/test_it.py-test_it/index.html").read_text("utf-8")

    result.stdout.fnmatch_lines(["h1 클라이언트 *", "*CLOSE-WAIT에서 벗어나지 못함*"])
    assert '<html lang="ko">' in html
    assert "2번째 상태부터 다름: 예상 LAST-ACK, 실제 CLOSE-WAIT" in html
    assert "✗ 실패" in html
    assert "✗ 실패 1건" in (project.path / "kept/index.html").read_text("utf-8")


def test_what_a_program_printed_is_shown_harmlessly(project: Project) -> None:
    """Neither what steers a terminal nor ten megabytes: its last lines, spelt out, each cut where it is too long."""
    project.write(
        loud=r"""
            import sys
            print(*range(1000), sep="\n")
            sys.stdout.write("\x1b[2J\x1b]0;owned\x07" + "x" * 10_000_000 + "\n<script>\n")
        """,
        test_it="""
            import sys

            def test_it(net):
                program = net.h1.start([sys.executable, "loud.py"])
                program.wait()
                assert False
        """,
    )
    result = project.run("--junit-xml=junit.xml")
    printed = result.stdout.str()

    result.stdout.fnmatch_lines(
        ["*Printed by h1-*", "(90? lines before)", "999", r"\x1b[[]2J\x1b]0;owned\x07xxx*", "<script>"]
    )
    assert "\x1b[2J" not in printed
    assert len(printed) < 20_000
    assert (project.path / "junit.xml").stat().st_size < 40_000
