"""The interfaces of a network namespace and their addresses, and notifications when either changes.

Source: include/uapi/linux/{rtnetlink,if_addr}.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroute2.netlink.rtnl import RTM_GETADDR, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import request

if TYPE_CHECKING:
    from handshake_lab.linux.netlink.connection import Netlink

#: The multicast groups that report interfaces and addresses that come and go.
CHANGES = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR


def addresses(netlink: Netlink) -> list[str]:
    """The IP addresses of the namespace without those of the loopback interface, in the kernel's order."""
    loopback = links.indexes(netlink).get("lo", 0)
    answers = netlink.dump(request(ifaddrmsg(), RTM_GETADDR, 0, "listing the addresses"))
    # Of an IPv4 tunnel, IFA_ADDRESS is the other end; IPv6 has no IFA_LOCAL otherwise.
    found = [
        answer.get_attr("IFA_LOCAL") or answer.get_attr("IFA_ADDRESS")
        for answer in answers
        if answer["index"] != loopback
    ]
    return [ip for ip in found if ip]
