"""What a test does to a link is on record, and shown where it explains what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab import ladder, page, seconds
from handshake_lab.errors import UsageError
from handshake_lab.recording.observations import LinkChange
from handshake_lab.report.layout.connections import connections, middle
from handshake_lab.report.layout.lines import LinkRow, WaitRow
from handshake_lab.report.layout.lines import ladder as laid_out
from handshake_lab.report.svg.ladder_svg import picture
from handshake_lab.report.text.translations import words
from tcp_steps import open_connection

if TYPE_CHECKING:
    from handshake_lab import Net

pytestmark = pytest.mark.handshake(delay="5ms")


def changes(net: Net) -> list[tuple[str, str, str]]:
    """The changes of links on record."""
    return [(seen.link, seen.action, seen.change) for seen in net.observations if isinstance(seen, LinkChange)]


def test_every_change_is_on_record(net: Net) -> None:
    """With its link as `--link` names it, what was done, and the time."""
    began = net.clock.now()
    link = net.link("s1", "h2")
    link.cut()
    net.sleep(1)
    link.mend()
    link.set(loss="100%", delay="20ms")
    link.set(loss="0%", to="h2")
    link.clear(to="s1")
    link.clear()
    times = [seconds(seen.t - began) for seen in net.observations if isinstance(seen, LinkChange)]

    assert changes(net) == [
        ("s1-h2", "cut", ""),
        ("s1-h2", "mend", ""),
        ("s1-h2", "set", "loss=100%,delay=20ms"),
        ("s1>h2", "set", "loss=0%"),
        ("h2>s1", "clear", ""),
        ("s1-h2", "clear", ""),
    ]
    assert times == sorted(times)
    assert times[1] - times[0] >= 1


def test_a_refused_change_is_not(net: Net) -> None:
    """What was not done is not on record."""
    with pytest.raises(UsageError):
        net.link("s1", "h2").set(loss="150%")
    with pytest.raises(UsageError):
        net.link("s1", "h2").set(loss="1%", to="h9")

    assert changes(net) == []


def test_the_path_between_two_hosts(net: Net) -> None:
    """A link that is named by the only two hosts is their path."""
    net.link("h1", "h2").cut()

    assert changes(net) == [("h1-h2", "cut", "")]


@pytest.mark.handshake_slow
def test_a_long_silence_is_explained(net: Net) -> None:
    """The ladder shows when the link was cut and mended, between what was sent before and after."""
    client, server, _ = open_connection(net)
    net.sleep(1)
    net.link("s1", "h2").cut()
    client.sendall(b"lost")
    net.sleep(600)
    net.link("s1", "h2").mend()
    server.recv(4)
    record = net.record()
    drawn = [line.strip() for line in ladder(record).splitlines()]
    cut = next(place for place, line in enumerate(drawn) if "link s1-h2 was cut" in line)
    mended = next(place for place, line in enumerate(drawn) if "link s1-h2 was mended" in line)
    lost = [place for place, line in enumerate(drawn) if "len=4" in line]

    assert [(each.link, each.action) for each in record.link_changes] == [("s1-h2", "cut"), ("s1-h2", "mend")]
    assert cut < lost[0] < mended < lost[-1]
    (one,) = connections(record)
    for axis in ("sequence", "time"):
        assert "link s1-h2 was cut" in picture(laid_out(one, middle(record, one)), words("en"), axis)
    assert "링크 s1-h2 차단" in ladder(record, lang="ko")
    assert "link s1-h2 was mended" in page(record, net.observations, title="links")


def test_what_was_done_before_a_connection(net: Net) -> None:
    """A link that was cut before explains a SYN that is lost; one that was mended in time explains nothing."""
    net.link("s1", "h1").cut()
    net.link("s1", "h1").mend()
    net.link("s1", "h2").set(loss="50%", to="h2")
    net.link("s1", "h2").set(loss="100%", to="h2")
    net.sleep(2)
    net.h1.begin_connect((net.h2.ip, 80))
    net.sleep(1.5)
    (one,) = connections(net.record())
    lines = laid_out(one).lines

    assert [(each.link, each.change) for each in one.link_changes] == [("s1>h2", "loss=100%")]
    assert isinstance(lines[0], LinkRow)
    assert isinstance(lines[1], WaitRow)


def test_what_is_done_after_a_connection(net: Net) -> None:
    """It is on record, and not in the ladder of a connection that had ended."""
    client, server, _ = open_connection(net)
    client.close()
    server.close()
    net.wait_until_closed()
    net.link("s1", "h2").cut()
    record = net.record()
    (one,) = connections(record)

    assert len(record.link_changes) == 1
    assert one.link_changes == ()
