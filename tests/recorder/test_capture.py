"""The capture on a pair of interfaces in private namespaces: its observations, and its count of losses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.host.host_kernel import HostKernel
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.shared import helper_programs
from jobs import job_from_tests


@pytest.mark.parametrize("kernel", ["lab", "host"])
class TestCapture:
    """On both kernels, because the kernel executes the filter."""

    def do(self, kernel: str, name: str, argument: Any = None) -> Any:
        """Run a job of `capture_jobs`, and return its result."""
        runs = (
            LabKernel(provide_lab.ensure())
            if kernel == "lab"
            else HostKernel(helper_programs.supervisor(), wall_limit=60)
        )
        try:
            with runs.run(job_from_tests(f"tests.recorder.capture_jobs:{name}", argument=argument)) as outcome:
                assert outcome.status == 0, outcome.console
                return json.loads((outcome.results / "found.json").read_text())
        except EnvironmentUnsupported as error:
            pytest.skip(str(error))

    def test_tcp_passes_behind_extension_headers_too(self, kernel: str) -> None:
        """IPv4 and IPv6, without and with hop-by-hop, routing and destination options; only TCP.

        A fragment is left out: hosts of these networks make none of TCP.
        """
        found = self.do(kernel, "what_passes")

        assert [each[0] for each in found["seen"]] == [1, 3, 5, 6, 7]
        assert {tuple(each[2:]) for each in found["seen"]} == {("S", "received")}
        assert {each[1] for each in found["seen"]} == {"10.0.0.1", "fd00::1"}
        assert found["dropped"] == 0

    def test_what_there_was_no_room_for_is_counted_once(self, kernel: str) -> None:
        """Every frame is either read or counted as dropped; then the capture continues."""
        seen, dropped, again, after = self.do(kernel, "too_many", 3000)

        assert dropped > 0
        assert seen + dropped == 3000
        assert (again, after) == (0, 1)
