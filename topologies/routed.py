"""Two subnets with a Linux router between them; the router may filter segments or translate addresses.

    h1 ────────────── r1 ────────────── h2
    10.0.1.2/24   .1      .1   10.0.2.2/24
    fd00:1::2/64                fd00:2::2/64

Stock Mininet runs them too: ``mn --custom topologies/routed.py --topo firewall``
"""

from __future__ import annotations

from typing import Any

from mininet.topo import Topo


def linux_router(name: str, **params: Any) -> Any:
    """The router ``r1`` in stock Mininet: a node that forwards, with the given nft rules.

    Handshake Lab creates its own router, because importing mininet.node would take longer than that.
    """
    from mininet.node import Node  # noqa: PLC0415

    class LinuxRouter(Node):  # type: ignore[misc] # Mininet has no types
        def config(self, **params: Any) -> Any:
            result = super().config(**params)
            self.cmd("sysctl -w net.ipv4.ip_forward=1")
            if params.get("nft"):
                self.cmd(f"nft -f - <<'END'\n{params['nft']}\nEND")
            return result

    return LinuxRouter(name, **params)


class Routed(Topo):  # type: ignore[misc] # Mininet has no types
    """Two hosts in two subnets; the router's port to each host is impaired.

    TCP notices the router: the TTL decreases, and the router can answer with ICMP.

    Args:
        ipv6: Whether the hosts also have IPv6 addresses, to which their names then resolve.
        impairment: The impairment of every segment in both directions, as for ``pair``.
    """

    #: The two subnets, each with its network part and prefix length.
    subnets = ("10.0.1", "10.0.2")

    def build(self, *, ipv6: bool = False, **impairment: object) -> None:
        """Create the two hosts and the router."""
        self._build(None, ipv6=ipv6, impairment=impairment)

    def _build(self, rules: str | None, *, ipv6: bool, impairment: dict[str, object], **router: Any) -> None:
        left, right = self.subnets
        more = {"nft": rules} if rules else {}
        self.addHost("r1", cls=linux_router, router=True, ip=f"{left}.1/24", **more, **router)
        for number, subnet in enumerate(self.subnets, 1):
            host: dict[str, Any] = {"ip": f"{subnet}.2/24", "defaultRoute": f"via {subnet}.1"}
            if ipv6:
                host |= {"ip6": f"fd00:{number}::2/64", "defaultRoute6": f"via fd00:{number}::1"}
            self.addHost(f"h{number}", **host)
        gateways = [{"ip": f"{subnet}.1/24"} for subnet in (left, right)]
        if ipv6:
            gateways = [{**gateway, "ip6": f"fd00:{n}::1/64"} for n, gateway in enumerate(gateways, 1)]
        self.addLink("h1", "r1", params2={**gateways[0], **impairment})
        self.addLink("r1", "h2", params1={**gateways[1], **impairment})


class Firewall(Routed):
    """The router permits connections from h1 to one port of h2 only, and all connections from h2.

    It tracks connections (conntrack): segments of a permitted connection pass, and a segment that
    belongs to no connection is dropped.

    Args:
        port: The TCP port of h2 that h1 may connect to.
        refuse: What happens to other segments: ``drop``, ``reset`` (a RST for TCP) or ``prohibited``
            (ICMP: administratively prohibited).
        ipv6: As for ``routed``.
        impairment: As for ``routed``.
    """

    verdicts = {  # noqa: RUF012 -- a table; Topo subclasses have no use for ClassVar
        "drop": "drop",
        "reset": "meta l4proto tcp reject with tcp reset; drop",
        "prohibited": "reject with icmpx type admin-prohibited",
    }

    def build(  # type: ignore[override] # parameters of its own, as Mininet's topologies have
        self, port: int = 80, refuse: str = "drop", *, ipv6: bool = False, **impairment: object
    ) -> None:
        """Create the network and the router's rules."""
        if refuse not in self.verdicts:
            raise ValueError(f"refuse={refuse!r} is not one of {', '.join(self.verdicts)}")
        rules = f"""
            table inet firewall {{
              chain forward {{
                type filter hook forward priority 0; policy accept
                ct state established,related accept
                ct state invalid drop
                iifname "r1-eth1" ct state new accept
                iifname "r1-eth0" tcp dport {port} tcp flags & (fin|syn|rst|ack) == syn ct state new accept
                {self.verdicts[refuse]}
              }}
            }}"""
        self._build(rules.replace("; drop", "\n                drop"), ipv6=ipv6, impairment=impairment)


class Nat(Routed):
    """The router translates addresses of h1's network to its own address, as a home router does.

    For h2 every connection of h1 comes from 203.0.113.1; h2 cannot open a connection to h1.

    Args:
        impairment: As for ``routed``.
    """

    subnets = ("192.168.1", "203.0.113")

    def build(self, **impairment: object) -> None:
        """Create the network and the router's rules."""
        rules = """
            table ip nat {
              chain postrouting {
                type nat hook postrouting priority 100; policy accept
                oifname "r1-eth1" masquerade
              }
              chain forward {
                type filter hook forward priority 0; policy accept
                iifname "r1-eth1" ct state new drop
              }
            }"""
        self._build(rules, ipv6=False, impairment=impairment, masquerade="r1-eth1")


topos = {"routed": Routed, "firewall": Firewall, "nat": Nat}
