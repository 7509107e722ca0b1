"""Mosquitto: a client that is gone."""

from pathlib import Path

import pytest
from handshake_lab import Net, seconds


@pytest.mark.needs("mosquitto", "mosquitto")
def test_a_subscriber_whose_link_is_cut(net: Net, tmp_path: Path) -> None:
    """MQTT 3.1.1, section 3.1.2.10: without a packet for 1.5 times the keep-alive, the broker closes the connection."""
    (tmp_path / "mosquitto.conf").write_text("listener 1883\nallow_anonymous true\nuser root\n")
    net.h2.start(["mosquitto", "-c", str(tmp_path / "mosquitto.conf")], listening=1883)
    client = net.h1.connect(("h2", 1883))
    client.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a")  # CONNECT, clean session, keep-alive 10 s
    assert client.recv(4) == b"\x20\x02\x00\x00"  # CONNACK: accepted

    net.link("s1", "h1").cut()
    began = net.clock.now()
    (held,) = net.h2.wait_for("FIN-WAIT-1")  # its FIN finds nobody
    assert held.remote.ip == net.h1.ip
    assert seconds(net.clock.now() - began) == pytest.approx(15, abs=6)  # it looks every five seconds or so
