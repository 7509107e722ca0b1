"""Go: a connection that the server closes just when the client uses it again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from handshake_lab import Net, shared

pytestmark = [pytest.mark.needs("go", "golang-go"), pytest.mark.handshake(delay="50ms")]

CLIENT = """
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	for i := 0; i < 2; i++ {
		request, _ := http.NewRequest(os.Args[1], "http://"+os.Args[2]+"/", strings.NewReader("order"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println(response.Status)
		time.Sleep(time.Second)
	}
}
"""
#: Closes a connection that was idle for 1.08 s. A request takes 50 ms, a second after the response, which took 50 ms.
SERVER = """
import socket
listener = socket.create_server(("", 80))
while True:
    connection, _ = listener.accept()
    connection.settimeout(1.08)
    try:
        while request := connection.recv(4096):
            if request.endswith(b"order"):
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except TimeoutError:
        pass
    connection.close()
"""


@pytest.fixture(scope="session")
@shared
def client() -> Path:
    """The client, built once for all tests of this file."""
    place = Path("/var/tmp/go")  # noqa: S108 - of the lab kernel
    place.mkdir()
    (place / "client.go").write_text(CLIENT)
    command = ["go", "build", "-o", place / "client", place / "client.go"]
    subprocess.run(command, env={**os.environ, "GOCACHE": str(place / "cache"), "GO111MODULE": "off"}, check=True)
    return place / "client"


def order(net: Net, client: Path, method: str) -> str:
    """What the client prints for two requests."""
    net.h2.start([sys.executable, "-c", SERVER], listening=80)
    return str(net.h1.run([str(client), method, net.h2.ip]).stdout)


def test_a_get_is_sent_again(net: Net, client: Path) -> None:
    """The request meets a RST, the client a FIN: net/http opens another connection, and nobody notices."""
    assert order(net, client, "GET") == "200 OK\n200 OK\n"
    assert len([each for each in net.record().segments if each.flags == "S"]) == 2


def test_a_post_fails(net: Net, client: Path) -> None:
    """It may have been carried out, so it is not sent again: the program has to decide."""
    assert order(net, client, "POST") == f'200 OK\nPost "http://{net.h2.ip}/": EOF\n'
    assert len([each for each in net.record().segments if each.flags == "S"]) == 1
