"""The fault language as people type it: labels of ladders, the last of a kind, families, datagrams, times, settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from command_line import handshake
from handshake_lab import FaultNeverFired, UsageError, record

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab import Net


def demo(*arguments: str) -> dict[str, Any]:
    """The document of a demonstration."""
    done = handshake("demo", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def lost(document: dict[str, Any]) -> list[int]:
    """The numbers of its segments that did not arrive."""
    return [segment["number"] for segment in document["segments"] if segment["received"] is None]


@pytest.mark.parametrize("topology", ["pair", "routed"])
@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("drop #1", 1),
        ("drop #2 SYN-ACK seq=0 ack=1", 2),
        ("drop #6 PA seq=1 ack=18 len=15", 6),
        ("drop FIN-ACK #8", 8),
        ("drop #11", 11),
        ("drop FIN nth=last", 10),
        ("drop SYN,ACK nth=1 ipv4", 2),
    ],
)
def test_the_segment_that_is_named_is_lost(topology: str, fault: str, number: int) -> None:
    """A number is that of the ladder of a run without the fault."""
    assert lost(demo("--topology", topology, "--fault", fault))[:1] == [number]


def test_a_retransmission_by_its_label() -> None:
    """Two losses: the second is that of the retransmission, as the ladder of the first shows it."""
    found = demo("--fault", "drop SYN-ACK nth=1", "--fault", "drop #4 SYN-ACK seq=0 ack=1 rtx #2")

    assert lost(found) == [2, 4]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("drop SYN-ACK nth=3", "of 11 segments, 1 is SYN-ACK; nth=3 was not reached"),
        ("drop SYN-ACK from h1", "of 11 segments, 1 is SYN-ACK, none are from h1"),
        ("drop FIN-ACK from h1 port=81", "of 11 segments, 2 are FIN-ACK, 1 is from h1, none are port=81"),
        ("drop SYN ipv6", "of 11 segments, 1 is SYN, none are ipv6"),
        ("drop RST", "of 11 segments, none are RST"),
        ("drop RST nth=last", "of 11 segments, none are RST"),
        ("drop #8 SYN-ACK", "of 11 segments, 1 is #8: segment #8 FIN-ACK seq=18 ack=16 len=0 is not SYN-ACK"),
        ("drop #8 FIN-ACK seq=17", "segment #8 FIN-ACK seq=18 ack=16 len=0 is not seq=17"),
        ("drop #12", "of 11 segments, none are #12"),
        ("drop UDP port=53", "of 0 datagrams, none are UDP"),
        ("inject RST to h2 on SYN-ACK nth=2", "of 11 segments, 1 is SYN-ACK; nth=2 was not reached"),
    ],
)
def test_why_a_fault_never_fired(fault: str, reason: str) -> None:
    """How many segments met which part of it; the ladder shows the run."""
    done = handshake("demo", "--plain", "--fault", fault)

    assert done.returncode == 1
    assert f"never fired: {reason}" in done.stderr or reason in done.stderr
    assert "#8 FIN-ACK" in done.stdout or "nth=last" in fault


def test_at_a_time() -> None:
    """A link is cut and mended, a direction changed and restored, a fault in force for a while."""
    cut = demo("--at", "0s", "cut h1-s1 for 2500ms")
    changed = demo("--at", "10ms", "set s1>h2:loss=100% for 2s")
    fault = demo("--at", "150ms", "drop DATA for 1s")

    assert [(round(each["time"], 3), each["action"]) for each in cut["link_changes"]] == [(0, "cut"), (2.5, "mend")]
    assert lost(cut) == [1, 2, 3]
    assert lost(changed)[:1] == [3]
    assert lost(fault) == [4, 5, 6]


def test_a_time_that_does_not_come() -> None:
    """The run was over before: that is an error, as of a fault that never fires."""
    done = handshake("demo", "--plain", "--at", "100s", "mend h1-s1")

    assert done.returncode == 1
    assert "the run ended at 62483ms, before '100s mend h1-s1'" in done.stderr or "before '100s mend" in done.stderr


@pytest.mark.parametrize(
    ("when", "what", "reason"),
    [
        ("10", "cut h1-s1", "has no unit"),
        ("10s", "cut h1", "does not name a link"),
        ("10s", "cut h1-h9", "is not a node"),
        ("10s", "cot h1-s1", "the nearest is 'cut'"),
        ("10s", "mend h1-s1 for 3s", "cannot be undone"),
        ("10s", "cut h1-s1 for ever", "is not a duration"),
        ("10s", "set delay=5ms", "does not name a link"),
        ("10s", "drop SYM", "the nearest is 'SYN'"),
        ("10s", "drop SYN nth=last", "is not known during a run"),
    ],
)
def test_an_action_that_cannot_be_meant(when: str, what: str, reason: str) -> None:
    """It is refused before a kernel starts."""
    done = handshake("demo", "--at", when, what)

    assert done.returncode == 2
    assert reason in done.stderr


def test_settings_of_hosts() -> None:
    """On the command line, for all hosts or for one."""
    without = demo("--sysctl", "h1:net.ipv4.tcp_timestamps=0", "--sysctl", "net.ipv4.tcp_syn_retries=1")

    assert without["faults"] == []
    assert "--sysctl h1:net.ipv4.tcp_timestamps=0" in without["replay"]
    for wrong, reason in (
        ("h9:net.ipv4.tcp_sack=0", "h1, h2"),
        ("kernel.x=1", "net.…"),
        ("net.ipv4.tcp_sack", "value"),
    ):
        refused = handshake("demo", "--sysctl", wrong)
        assert refused.returncode == 2
        assert reason in refused.stderr


def test_from_python(tmp_path: Path) -> None:
    """`record` takes times and settings as the command does, and raises what never fired, with the run kept."""
    wanted: dict[str, Any] = {"servers": ["python3 -m http.server 80"], "clients": ["curl -s -m 9 http://h2/"]}
    run = record(**wanted, at=[("0s", "cut h1-s1 for 1500ms")], sysctls={"h1:net.ipv4.tcp_syn_retries": 3})
    assert [segment.number for segment in run.record.segments if segment.lost] == [1, 2]

    with pytest.raises(FaultNeverFired, match="none are SYN-ECE-CWR"):
        record(**wanted, faults=["drop SYN-ECE-CWR"], out=tmp_path / "run")
    assert (tmp_path / "run" / "events.jsonl").exists()


def test_in_a_test(net: Net) -> None:
    """`net.at` is for times to come; the last of a kind is not known there."""
    net.at("2s", "cut h1-s1 for 1s")
    net.sleep(1)
    server = net.h2.listen(80)
    net.sleep(1.5)
    client = net.h1.connect(server)

    assert [segment.number for segment in net.record().segments if segment.lost] == [1]
    with pytest.raises(UsageError, match="has passed"):
        net.at("1s", "cut h1-s1")
    with pytest.raises(UsageError, match="is not known during a run"):
        net.drop("FIN", nth="last")
    client.close()


@pytest.mark.handshake(topology="pair,ipv6=True")
def test_a_family(net: Net) -> None:
    """Both families at once: only the named one is hit."""
    net.drop("SYN", nth=1, family="ipv6", from_="h1")
    server = net.h2.listen(80)
    net.h1.connect(server)

    assert [(":" in each.src.ip, each.name) for each in net.record().segments if each.lost] == [(True, "SYN")]


@pytest.mark.parametrize("how", ["drop", "corrupt"])
def test_udp(net: Net, how: str) -> None:
    """Datagrams by their port, in the packet filter and in the middlebox; TCP and other ports are left alone."""
    fault = net.fault(f"{how} UDP port=53 nth=2")
    with net.network.h2.socket(kind=2) as far, net.network.h1.socket(kind=2) as near:
        far.bind((net.h2.ip, 53))
        far.settimeout(5)
        for number in (b"1", b"2", b"3"):
            near.sendto(number, (net.h2.ip, 54))
            near.sendto(number, (net.h2.ip, 53))
        assert [far.recv(10), far.recv(10)] == [b"1", b"3"]
    assert fault.fired == 1


@pytest.mark.parametrize("kind", ["ICMP", "ICMP-host-unreachable", "ICMP-administratively-prohibited"])
@pytest.mark.handshake(topology="firewall,refuse=prohibited")
def test_an_icmp_error(net: Net, kind: str) -> None:
    """Without the router's answer the client continues to retransmit; an error of another kind does not match."""
    net.drop(kind, optional=True)
    with net.h1.socket() as client:
        client.settimeout(2.5)
        hit = kind != "ICMP-host-unreachable"
        with pytest.raises(TimeoutError if hit else OSError, match="timed out" if hit else "No route to host"):
            client.connect(("h2", 81))
