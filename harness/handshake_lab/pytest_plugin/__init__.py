"""The pytest plugin: a test that asks for the fixture ``net`` runs where a kernel is.

`hooks` is what pytest loads (entry point ``pytest11``); `outside` sends a test into a
kernel and brings its reports home; `inside` runs it there; `fixtures` is what a test uses;
`edges` counts which edges of the state diagram were taken.
"""
