"""The queues of impaired links, derived from the captures: segments that have left their sender and not arrived yet.

netem holds a segment until its delay is over. If a segment crosses several impaired links, the captures of its hosts do
not show in which queue it is: these links have one plot. A segment that is lost is not counted: a full queue does not
take it, and neither does netem's loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import HandshakeError
from handshake_lab.plan.from_topo import from_topo
from handshake_lab.plan.load_topology import load_topology, topology_directory
from handshake_lab.report.series.plot import Plot, Points

if TYPE_CHECKING:
    from handshake_lab.plan.network_plan import NetworkPlan
    from handshake_lab.recording.history import Record, TransmittedSegment


def queue_plots(record: Record) -> list[Plot]:
    """For each impaired direction of a link, or several that the same segments crossed: the segments in the queue."""
    network = _network(record.header.topology)
    originals = {segment.number: segment for segment in record.segments}
    links = [link.partition(":")[0] for link in record.header.links]
    ways: dict[tuple[str, str], tuple[str, ...]] = {}
    stays: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for segment in (*record.segments, *record.datagrams):
        entered = _departure(segment, originals)
        if entered is None or segment.received is None or segment.received < entered:
            continue
        ends = segment.sender, segment.receiver
        if ends not in ways:
            ways[ends] = tuple(_crossed(network, ends, links))
        if ways[ends]:
            stays.setdefault(ways[ends], []).append((entered, segment.received))
    groups = _together(stays)
    return [_plot(sorted(group, key=links.index), times) for group, times in groups]


def _together(stays: dict[tuple[str, ...], list[tuple[int, int]]]) -> list[tuple[set[str], list[tuple[int, int]]]]:
    """Paths that have a link in common are one group: its links, and the times of its segments."""
    groups: list[tuple[set[str], list[tuple[int, int]]]] = []
    for crossed, times in stays.items():
        links, merged = set(crossed), list(times)
        for group in [each for each in groups if each[0] & links]:
            groups.remove(group)
            links |= group[0]
            merged += group[1]
        groups.append((links, merged))
    return groups


def _plot(links: list[str], stays: list[tuple[int, int]]) -> Plot:
    queue = Points("queue", "steps")
    changes = sorted([(entered, 1) for entered, _ in stays] + [(left, -1) for _, left in stays])
    length = 0
    for time, change in changes:
        length += change
        queue.add(time, length)
    sender, _, receiver = links[0].partition(">") if len(links) == 1 else (", ".join(links), "", "")
    return Plot("queue", 0, sender, receiver, (queue.curve(),))


def _departure(segment: TransmittedSegment, originals: dict[int, TransmittedSegment]) -> int | None:
    """When a segment left its sender; a duplicate that the network made entered the queue with its original."""
    if segment.sent is None and segment.copies is not None and segment.copies in originals:
        return originals[segment.copies].sent
    return segment.sent


def _crossed(network: NetworkPlan | None, ends: tuple[str, str], links: list[str]) -> list[str]:
    """Those of the links that are on the path between two nodes."""
    sender, receiver = ends
    if network is None or not {sender, receiver} <= network.nodes.keys():
        # Only the links of the two nodes themselves are known to be on their path.
        return [link for link in links if link.partition(">")[0] == sender or link.rpartition(">")[2] == receiver]
    try:
        path = network.path(sender, receiver)
    except HandshakeError:
        return []
    crossed = {f"{port.node}>{network.port(port.peer).node}" for port in path}
    return [link for link in links if link in crossed]


def _network(topology: str) -> NetworkPlan | None:
    """The network of a run; None if its topology is a file: showing a run does not execute a program."""
    try:
        return None if topology_directory(topology) else from_topo(load_topology(topology))
    except HandshakeError:
        return None
