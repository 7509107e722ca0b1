"""The claims of two sets of course notes about TCP, measured on the kernel.

`claim` has the result of one claim's test as a value, `claim_texts` every sentence in English and Korean. `measuring`
has pytest measure the claims (their tests are ``tests/documented/``), `claims_report` prints the results: a table,
JSON, and the page ``docs/explanation/claims.md``.
"""
