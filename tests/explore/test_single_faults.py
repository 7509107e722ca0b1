"""Exploring single faults: each is tried once; what fails becomes a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explore.conftest import Project

#: The server waits for a request for a quarter of a second only.
EXCHANGE = """
    import pytest

    @pytest.fixture
    def server(net):
        return net.h2.listen(80)

    def test_something_else():
        pass

    @pytest.mark.handshake(delay="50ms")
    @pytest.mark.parametrize("request_", [b"ping"])
    def test_patience(net, server, request_):
        \"\"\"It answers.\"\"\"
        client = net.h1.connect(server)
        peer, _ = server.accept()
        peer.settimeout(PATIENCE)
        client.sendall(request_)
        assert peer.recv(4) == request_
        client.close()
        peer.close()
        net.wait_until_closed()
"""


def test_a_lost_segment_that_breaks_a_test_is_found(project: Project) -> None:
    """Only the segment that matters; the test for it fails alone, and passes once the program is repaired."""
    project.write(test_it=EXCHANGE.replace("PATIENCE", "0.25"))

    result, findings = project.explore("faults=1", "-k", "patience")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FINDING: drop DATA nth=1 from h1*", "TimeoutError: timed out"])
    assert [[str(fault) for fault in finding.faults] for finding in findings] == [["drop DATA nth=1 from h1"]]
    assert findings[0].repeatable
    (test,) = project.found_tests()
    assert 'net.drop("DATA", nth=1, from_="h1")' in test.read_text()
    assert "test_something_else" not in test.read_text()
    project.run(test.name).assert_outcomes(failed=1)
    test.write_text(test.read_text().replace("0.25", "10"))
    project.run(test.name).assert_outcomes(passed=1)


def test_a_test_that_survives_every_loss_passes(project: Project) -> None:
    """Each segment is lost once, in one run each, besides the first run."""
    project.write(test_it=EXCHANGE.replace("PATIENCE", "10"))

    result, findings = project.explore("faults=1", "-k", "patience")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["explored: 9 segments, 10 of 10 runs, *, 0 findings (all that was asked for*"])
    assert findings == []
