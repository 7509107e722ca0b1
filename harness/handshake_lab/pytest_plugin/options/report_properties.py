"""Names of the attributes and properties of a test's reports that the summary of the session uses."""

from __future__ import annotations

#: Attribute of a failed report: the names of its exception's class and of that class's bases.
RAISED = "handshake_raised"
#: Attribute of a failed report: module and qualified name of its exception's class.
RAISED_CLASS = "handshake_raised_class"
#: Attribute of a failed report: the last line of the traceback outside this package, as ``file:line``.
RAISED_AT = "handshake_raised_at"
#: Attribute of a failed report: the states that were recorded, and those that the test expected.
COMPARED = "handshake_compared"

#: Property: the command that runs the test again in the same way.
AGAIN = "handshake_again"
#: Property: the edges that were taken, each with its witnesses.
EDGES = "handshake_edges"
#: Property: seconds of the kernel's time.
TCP_SECONDS = "handshake_tcp_seconds"
#: Property: segments that were sent.
SEGMENTS = "handshake_segments"
#: Property: seconds from the first transition or segment to the last.
SPAN = "handshake_span"
#: Property: what the record does not explain (`handshake_lab.expect.unexplained`).
UNEXPLAINED = "handshake_unexplained"
#: Property: the kept record's row of the index.
RUN = "handshake_run"
#: Property: a claim that the test measured, for the index: `handshake_lab.verdict.expected_states.Claim` as JSON.
CLAIM = "handshake_claim"
#: Property: the result of a mutated test.
MUTATION_RESULT = "handshake_mutant"
#: Property: the number of things that a mutation changed.
MUTATION_CHANGES = "handshake_touched"
