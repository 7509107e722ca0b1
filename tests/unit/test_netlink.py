"""Requests and answers of netlink: what is added to pyroute2, without a network."""

from __future__ import annotations

import errno
import struct

import pytest
from handshake_lab.errors import NetlinkError
from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.linux.netlink.pyroute2_gaps import RouteMarshal, find_attribute, reader
from handshake_lab.linux.netlink.queues import read
from hypothesis import given
from hypothesis import strategies as st


def test_a_socket_can_be_used_after_a_refusal() -> None:
    """Answers are distinguished by their sequence numbers."""
    with Netlink() as netlink:
        with pytest.raises(NetlinkError):
            netlink.ask([links.switch_on("nosuch0"), links.switch_on("nosuch1")])
        assert links.indexes(netlink)["lo"] == 1
        assert read(netlink, 1).netem is None


@given(index=st.integers(0, 2**31 - 1), number=st.integers(1, 254))
def test_a_neighbour_entry_is_the_same_but_for_its_interface(index: int, number: int) -> None:
    """It is encoded once, for all interfaces."""
    mac = f"02:00:00:00:00:{number:02x}"
    entries = [links.neighbour(each, f"10.0.0.{number}", mac).data for each in (index, 7)]
    decoded, other = (next(RouteMarshal().parse(data)) for data in entries)

    assert (decoded["ifindex"], other["ifindex"]) == (index, 7)
    assert decoded.get_attr("NDA_DST") == other.get_attr("NDA_DST") == f"10.0.0.{number}"
    assert decoded.get_attr("NDA_LLADDR") == mac


def test_a_dump_that_fails_midway_is_an_error() -> None:
    """NLMSG_DONE carries the errno (netlink_dump_done(), net/netlink/af_netlink.c)."""
    (end,) = RouteMarshal().parse(struct.pack("=IHHIIi", 20, 3, 2, 1, 0, -errno.EINTR))

    assert end["error"] == -errno.EINTR


def test_fields_are_read_up_to_the_last_that_is_wanted() -> None:
    """What follows may be missing, in an older kernel's structure."""
    made = reader([("a", "B"), ("b", ">4I"), ("c", "H"), ("d", "Q")], ("a", "c"))

    assert made.size == 19
    assert made.unpack(bytes([5]) + bytes(16) + struct.pack("=H", 700)) == (5, 700)


@given(values=st.lists(st.tuples(st.integers(1, 40), st.binary(max_size=9)), max_size=6), wanted=st.integers(1, 40))
def test_the_first_attribute_of_a_type_is_found(values: list[tuple[int, bytes]], wanted: int) -> None:
    """Attributes are padded to four bytes; flags in the type do not count."""
    data = b"".join(
        struct.pack("=HH", 4 + len(value), kind | 0x8000) + value + bytes(-len(value) % 4) for kind, value in values
    )

    assert find_attribute(data, wanted) == next((value for kind, value in values if kind == wanted), b"")
