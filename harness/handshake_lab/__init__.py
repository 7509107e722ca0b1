"""Handshake Lab: see and test what Linux TCP does.

A run goes through these rooms: ``plan`` says what is wanted, ``experiment`` has a ``kernel`` carry it out,
``observers`` watch its ``network``, ``recording`` holds what they saw, ``reconcile`` makes histories of it,
``verdict`` judges them, ``report`` shows them. ``tcp`` is what the documents say, ``linux`` speaks to raw kernel
interfaces. On top are ``cli``, ``pytest_plugin`` and ``checkout``. Imports go down only.
"""
