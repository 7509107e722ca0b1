"""Reports of a recorded run: for the terminal, the browser, Wireshark and other programs.

`terminal` draws ladders, `svg` draws ladders and the state diagram, `html` writes pages, and `export` writes
``--json`` documents and captures for Wireshark. All of them take a `handshake_lab.recording.history.Record`;
everything that draws a ladder uses `layout`.

Strings from recorded programs and hosts are untrusted: they pass through
`handshake_lab.report.text.escaping.visible` before they are shown. All texts for readers are in ``text/en.toml`` and
``text/ko.toml``.

Nothing is imported here, so that a terminal report starts quickly.
"""
