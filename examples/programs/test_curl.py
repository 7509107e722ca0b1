"""curl: a server that accepts, and says nothing."""

import pytest
from handshake_lab import Net, WaitTimedOut

pytestmark = pytest.mark.needs("curl", "curl")


def test_without_a_limit_curl_waits_for_ever(net: Net) -> None:
    """An hour later it still waits: TCP has no reason to give up on an idle connection."""
    net.h2.listen(80)
    waiting = net.h1.start(["curl", "-s", "http://h2/"])
    with pytest.raises(WaitTimedOut):
        waiting.wait(3600)


def test_with_a_limit_it_ends(net: Net) -> None:
    """Exit status 28 is curl's for a timeout."""
    net.h2.listen(80)
    assert net.h1.start(["curl", "-s", "--max-time", "7", "http://h2/"]).wait() == 28
