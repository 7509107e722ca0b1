"""What two sets of course notes claim about TCP, checked against the kernel.

`findings` says what a check comes to, `words` holds every sentence in English and Korean,
`running` has pytest measure the claims (the checks are ``tests/documented/``), `telling`
prints what came out: a table, JSON, and the page ``docs/claims.md``.
"""
