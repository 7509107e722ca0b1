"""The observers, one file each behind `handshake_lab.recorder.observer.Observer`, and the loop that drives them."""
