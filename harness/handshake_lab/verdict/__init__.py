"""Compares a record with RFC 9293, and explains retransmissions and segments without effect. Pure."""
