"""The observers, one file each behind `handshake_lab.observers.observer.Observer`, and the loop that drives them."""
