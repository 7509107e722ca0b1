"""Additions to pyroute2 0.9.7, which implements all other parts of netlink that are used here.

- *A socket without an event loop.* Each socket of pyroute2 runs its requests in a separate asyncio loop. This needs
  three more descriptors, whose inode numbers would change those in a record. If another thread uses the socket,
  pyroute2 opens a second one, in the current namespace of that thread. Therefore
  `handshake_lab.linux.netlink.connection.Netlink` sends pyroute2's messages over an ordinary socket, and decodes the
  answers with pyroute2's marshal.
- *The error of a dump that fails midway*, which a marshal ignores: `DumpEnd`.
- *Some parameters of netem*: loss models, tables of jitter, rates above 32 bits, nanoseconds: `NetemOptions`; and rates
  above 32 bits of tbf: `TbfOptions`.
- *The old request of sock_diag*, the only one that returns IPv4 and IPv6 sockets together: `OldInetDiagRequest`.
- *nfnetlink_log*: `LogConfig`, and the attributes of a logged frame in `handshake_lab.linux.netlink.packet_log`.
- *Decoding in one step.* pyroute2 creates an object for each message and each attribute, and decodes field by field.
  This takes 40 µs for a socket with its tcp_info, and the recorder decodes a socket after each segment. `reader`
  compiles the fields that pyroute2 defines, and `find_attribute` finds one attribute: this takes 4 µs.
- *Changing one field of an encoded message*: `with_field`. pyroute2 takes 33 µs to encode a neighbour entry. 100 hosts
  at a switch need 9,900, of which 100 differ in more than the interface.
- *Namespaces without names, for one thread*: `handshake_lab.linux.netns`. pyroute2 forks a process for each namespace,
  and mounts it under a name.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pyroute2.netlink import NLA_F_NESTED, NLMSG_DONE, nla, nlmsg
from pyroute2.netlink.nfnetlink import nfgen_msg
from pyroute2.netlink.rtnl import RTM_NEWQDISC
from pyroute2.netlink.rtnl.marshal import MarshalRtnl
from pyroute2.netlink.rtnl.tcmsg import sched_netem, sched_tbf, tcmsg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF


class DumpEnd(nlmsg):  # type: ignore[misc]
    """The end of a dump, with the negative errno if it failed (netlink_dump_done(), net/netlink/af_netlink.c)."""

    fields = (("error", "i"),)


class NetemOptions(nla):  # type: ignore[misc]
    """All of netem's parameters that are set here (include/uapi/linux/pkt_sched.h, TCA_NETEM_*)."""

    fields = sched_netem.options.fields
    nla_map = (
        (1, "TCA_NETEM_CORR", "netem_corr"),
        (2, "TCA_NETEM_DELAY_DIST", "array(int16)"),
        (3, "TCA_NETEM_REORDER", "netem_reorder"),
        (4, "TCA_NETEM_CORRUPT", "netem_corrupt"),
        (5, "TCA_NETEM_LOSS", "netem_loss"),
        (6, "TCA_NETEM_RATE", "netem_rate"),
        (8, "TCA_NETEM_RATE64", "uint64"),
        (10, "TCA_NETEM_LATENCY64", "int64"),
        (11, "TCA_NETEM_JITTER64", "int64"),
    )
    netem_corr = sched_netem.options.netem_corr
    netem_reorder = sched_netem.options.netem_reorder
    netem_corrupt = sched_netem.options.netem_corrupt
    netem_rate = sched_netem.options.netem_rate

    class netem_loss(nla):  # type: ignore[misc]  # noqa: N801  pyroute2 finds it by this name
        """A loss model: that of Gilbert and Elliott."""

        nla_flags = NLA_F_NESTED
        nla_map = ((2, "NETEM_LOSS_GE", "gilbert_elliott"),)

        class gilbert_elliott(nla):  # type: ignore[misc]  # noqa: N801
            """Probabilities in 1/2³² (struct tc_netem_gemodel)."""

            fields = (("p", "I"), ("r", "I"), ("h", "I"), ("k1", "I"))


class TbfOptions(nla):  # type: ignore[misc]
    """The rate of a token bucket filter (include/uapi/linux/pkt_sched.h, TCA_TBF_*)."""

    nla_map = ((1, "TCA_TBF_PARMS", "tbf_parms"), (4, "TCA_TBF_RATE64", "uint64"))
    tbf_parms = sched_tbf.options.tbf_parms


class QdiscMessage(nlmsg):  # type: ignore[misc]
    """pyroute2's tcmsg, with all of the options above."""

    prefix = tcmsg.prefix
    fields = tcmsg.fields
    nla_map = tcmsg.nla_map
    stats = tcmsg.stats
    get_plugin = tcmsg.get_plugin
    get_xstats = staticmethod(tcmsg.get_xstats)
    get_stats2 = staticmethod(tcmsg.get_stats2)

    @staticmethod
    def get_options(message: QdiscMessage, **found: Any) -> Any:
        """The class of TCA_OPTIONS, which depends on the discipline."""
        options = {"netem": NetemOptions, "tbf": TbfOptions}.get(message.get_attr("TCA_KIND"))
        return options or tcmsg.get_options(message, **found)


class RouteMarshal(MarshalRtnl):  # type: ignore[misc]
    """Decodes answers of NETLINK_ROUTE."""

    msg_map: ClassVar[dict[int, type]] = {**MarshalRtnl.msg_map, RTM_NEWQDISC: QdiscMessage, NLMSG_DONE: DumpEnd}


class OldInetDiagRequest(nlmsg):  # type: ignore[misc]
    """struct inet_diag_req, the body of TCPDIAG_GETSOCK (inet_diag_dump_compat(), net/ipv4/inet_diag.c)."""

    fields = (
        ("idiag_family", "B"),
        ("idiag_src_len", "B"),
        ("idiag_dst_len", "B"),
        ("idiag_ext", "B"),
        ("id", "48x"),
        ("idiag_states", "I"),
        ("idiag_dbs", "I"),
    )


class LogConfig(nfgen_msg):  # type: ignore[misc]
    """Settings of a group of nfnetlink_log (include/uapi/linux/netfilter/nfnetlink_log.h, NFULA_CFG_*)."""

    nla_map = (
        (1, "NFULA_CFG_CMD", "uint8"),
        (2, "NFULA_CFG_MODE", "mode"),
        (5, "NFULA_CFG_QTHRESH", "be32"),
    )

    class mode(nla):  # type: ignore[misc]  # noqa: N801
        """How much of a frame is copied (struct nfulnl_msg_config_mode)."""

        fields = (("copy_range", ">I"), ("copy_mode", "B"), ("pad", "x"))


def reader(fields: Iterable[tuple[str, str]], wanted: Sequence[str]) -> struct.Struct:
    """Compile some fields of a message, so that they are decoded in one step.

    Args:
        fields: All fields as pyroute2 defines them: names and formats. The fields to decode are in host byte order.
        wanted: The names of the fields to decode, in their order. Later fields may be missing in a message.
    """
    form = "="
    for name, each in fields:
        form += each if name in wanted else f"{struct.calcsize(each)}x"
        if name == wanted[-1]:
            break
    return struct.Struct(form)


def find_attribute(data: bytes, kind: int) -> bytes:
    """The value of the first attribute of a type; empty if there is none.

    Args:
        data: The attributes that follow the fields of a message.
        kind: The type.
    """
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        size, found = _ATTRIBUTE.unpack_from(data, position)
        if found & _TYPE_MASK == kind:
            return data[position + _ATTRIBUTE.size : position + size]
        position += max(size + 3 & ~3, _ATTRIBUTE.size)
    return b""


def with_field(encoded: bytes, message: type[nlmsg], name: str, value: int) -> bytes:
    """A copy of an encoded message with another value of one field.

    Args:
        encoded: The message.
        message: Its class.
        name: The field.
        value: The value.
    """
    start, end, form = _place(message, name)  # type: ignore[arg-type]  # pyroute2 has no types: mypy sees type[Any]
    return encoded[:start] + struct.pack(form, value) + encoded[end:]


@cache
def _place(message: type[nlmsg], name: str) -> tuple[int, int, str]:
    """Where a message has a field, and its format."""
    fields = (*message.header, *message.fields)
    number = [field for field, _ in fields].index(name)
    start, end = (sum(struct.calcsize(form) for _, form in fields[:count]) for count in (number, number + 1))
    return start, end, fields[number][1]
