"""Programs whose runs `handshake doctor --determinism` compares: each prints what it sees of time and chance."""
