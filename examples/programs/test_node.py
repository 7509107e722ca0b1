"""Node.js: a server that stands still."""

import pytest
from handshake_lab import Net

SERVER = "require('http').createServer((q, r) => r.end('hello')).listen(80, '0.0.0.0')"
CLIENT = """
const show = response => response.on('data', data => console.log(`${data}`));
const request = require('http').get({host: process.argv[1], timeout: 4000}, show);
request.on('timeout', () => { console.log('timeout'); request.destroy(); });
request.on('error', e => console.log(e.code));
"""


@pytest.mark.needs("node", "nodejs")
def test_a_server_that_stands_still_is_not_refused(net: Net) -> None:
    """The kernel completes the handshake for a stopped process; only the client's own timeout ends the wait."""
    server = net.h2.start(["node", "-e", SERVER], listening=80)
    client = ["node", "-e", CLIENT, net.h2.ip]
    assert net.h1.run(client).stdout == "hello\n"

    server.stop()
    assert net.h1.run(client).stdout == "timeout\nECONNRESET\n"

    server.cont()
    assert net.h1.run(client).stdout == "hello\n"
