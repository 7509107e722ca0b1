"""The scripts of recorded runs: the exchange of ``handshake demo``, and programs of the user."""
