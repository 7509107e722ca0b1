"""What some scenarios compare with that the package's face does not export."""

from handshake_lab.expect.timer_windows import COMPUTING, TimeWindow
from handshake_lab.recording.observations import Step
from handshake_lab.tcp.diagram.edge import SHORT
from handshake_lab.tcp.timers import ORPHAN_RETRIES, shortest_timeout
from handshake_lab.verdict.self_transitions import self_transitions

__all__ = ["COMPUTING", "ORPHAN_RETRIES", "SHORT", "Step", "TimeWindow", "self_transitions", "shortest_timeout"]
