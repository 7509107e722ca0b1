"""Java: a server that forgets to close."""

import subprocess
from pathlib import Path

import pytest
from handshake_lab import Net, shared

pytestmark = pytest.mark.needs("javac", "default-jdk-headless")

SERVER = """
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;

class Server {
    static final ArrayList<Socket> sessions = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        boolean closes = arguments[0].equals("close");
        try (ServerSocket listener = new ServerSocket(80)) {
            while (true) {
                Socket session = listener.accept();
                sessions.add(session);
                new Thread(() -> serve(session, closes)).start();
            }
        }
    }

    static void serve(Socket session, boolean closes) {
        try {
            while (session.getInputStream().read() >= 0) { }
            if (closes) session.close();
        } catch (java.io.IOException error) { }
    }
}
"""


@pytest.fixture(scope="session")
@shared
def classes() -> Path:
    """The server, compiled once for all tests of this file."""
    place = Path("/var/tmp/java")  # noqa: S108 - of the lab kernel
    place.mkdir()
    (place / "Server.java").write_text(SERVER)
    subprocess.run(["javac", "-J-XX:TieredStopAtLevel=1", "-d", place, place / "Server.java"], check=True)
    return place


def connect(net: Net, classes: Path, mode: str) -> None:
    """Three clients of the server, one after the other."""
    command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(classes), "Server", mode]
    net.h2.start(command, listening=80)
    for _ in range(3):
        net.h1.connect(("h2", 80)).close()


def test_sessions_that_are_not_closed_stay_in_close_wait(net: Net, classes: Path) -> None:
    """The end of the stream does not close the socket: each client leaves one behind, until no descriptor is left."""
    connect(net, classes, "forget")
    net.sleep(600)

    assert len(net.h2.wait_for("CLOSE-WAIT", count=3)) == 3


def test_sessions_that_are_closed_leave_nothing(net: Net, classes: Path) -> None:
    """Nothing but the listener is left."""
    connect(net, classes, "close")

    net.wait_until_closed()
