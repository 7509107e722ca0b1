"""The observers, one file each, and the loop that runs them; see `handshake_lab.observers.observer.Observer`."""
