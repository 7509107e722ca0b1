"""The pure parts of running Mininet scripts: times as tc reads them, rules of iptables, commands of a shell."""

from __future__ import annotations

import pytest
from handshake_lab.mininet_scripts import iptables, script_links, stand_ins


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5ms", 5_000_000),
        ("1.5 ms", 1_500_000),
        ("10us", 10_000),
        ("2s", 2_000_000_000),
        ("3msecs", 3_000_000),
        ("7", 7_000),
        ("5 parsecs", None),
        ("abc", None),
        ("1.2.3ms", None),
        ("", None),
    ],
)
def test_times_as_tc_reads_them(text: str, nanoseconds: int | None) -> None:
    """get_time() of tc/tc_util.c: a bare number is microseconds."""
    assert script_links._nanoseconds(text) == nanoseconds


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("-t nat -A POSTROUTING -o e -j MASQUERADE", ("add", "nat", "POSTROUTING")),
        ("-I FORWARD -i x -d 10.0.0.0/8 -j DROP", ("insert", "filter", "FORWARD")),
        ("--delete INPUT -p tcp -j DROP", ("delete", "filter", "INPUT")),
        ("-D INPUT 3", None),
        ("-L -n", None),
        ("-P INPUT DROP", None),
        ("-F", None),
    ],
)
def test_rules_of_iptables(line: str, rule: tuple[str, str, str] | None) -> None:
    """Only what adds or deletes a rule by its text is translated."""
    found = iptables.parse(line.split())
    assert (found and found[:3]) == rule
    if found:
        assert not {"-D", "--delete"} & set(found.arguments)


def test_a_rule_without_its_counter() -> None:
    """As nft lists it, and as it was given."""
    listed = '\t\toifname "r-eth1" counter packets 12 bytes 3456 masquerade'
    assert iptables.plain(listed) == iptables.plain("oifname r-eth1  counter masquerade")


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("iperf -s &", ["iperf"]),
        ("sleep 1; curl -s 10.0.0.2 | head -3", ["sleep", "curl", "head"]),
        ("cd /tmp && nohup dnsmasq -k &", ["cd", "dnsmasq"]),
        ("sudo tcpdump -i any", ["tcpdump"]),
    ],
)
def test_the_programs_of_a_line(line: str, programs: list[str]) -> None:
    """Each command of a line begins with a program; its arguments are none."""
    assert stand_ins._FIRST_WORDS.findall(line) == programs
