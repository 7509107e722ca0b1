"""The observers, one file each behind `harness.recorder.observer.Observer`, and the loop that drives them."""
