"""Looking at a recorded run: in the terminal, in a browser, in Wireshark, in a program.

`ladder` draws in the terminal, `document` answers ``--json``, `pcapng` writes for Wireshark,
`ladder_svg` and `diagram_svg` draw for slides, `page` and `index` write HTML. All of them
take a `handshake_lab.recording.history.Record`; the first three that draw a ladder share `layout`.

Whatever a recorded program or host said is data: it goes through `safe.visible` before it is
shown anywhere. What a person reads comes from ``words/``, in every language there is.

Nothing is imported here, so that the everyday path (`ladder`) stays quick to start.
"""
