"""Handshake Lab: see and test what Linux TCP does.

Imports point one way: ``tcp`` (what the documents say) is imported by
``timeline`` (what happened), which is imported by ``recorder`` and ``report``;
``network`` builds hosts and links; ``kernel`` gives them a kernel to run on;
only ``cli`` and ``plugin`` know all of them.
"""
