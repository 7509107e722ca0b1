"""One recorded run: a network, a recorder, and what is done on it.

`plan` says what is wanted; `conduct` has a kernel do it; `net` is what a script
sees there; `demo` and `programs` are scripts.
"""
