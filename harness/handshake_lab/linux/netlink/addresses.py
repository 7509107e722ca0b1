"""The interfaces of a network namespace and their addresses, and notifications when either changes.

Source: include/uapi/linux/{rtnetlink,if_addr}.h.
"""

from __future__ import annotations

import socket
import struct

from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink, attributes

_GETADDR = 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
#: RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR: interfaces and addresses that come and go.
CHANGES = 0x1 | 0x10 | 0x100


def addresses(netlink: Netlink) -> list[str]:
    """The IP addresses of the namespace without those of the loopback interface, in the kernel's order."""
    loopback = links.indexes(netlink).get("lo", 0)
    found = []
    for answer in netlink.dump(_GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0), "listing the addresses"):
        family, _prefix, _flags, _scope, index = struct.unpack_from("=BBBBi", answer)
        parts = attributes(answer[8:])
        # Of an IPv4 tunnel, IFA_ADDRESS is the other end; IPv6 has no IFA_LOCAL otherwise.
        raw = parts.get(_IFA_LOCAL) or parts.get(_IFA_ADDRESS)
        if index != loopback and raw and family in (socket.AF_INET, socket.AF_INET6):
            found.append(socket.inet_ntop(family, raw))
    return found
