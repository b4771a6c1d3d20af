"""The audit trail: who did what, chained and signed, so that nobody changes it unnoticed.

`actions.py` says what is recorded and under which names, `origin.py` on whose behalf the server is acting;
`coalescing.py` bounds what is noted without a change of its own; `trail.py` writes, signs and prunes;
`keys.py` holds the signing keys, `seals.py` what they sign, `witness.py` the file of checkpoints;
`verifying.py` finds out what was done to a trail, `exporting.py` writes it out, `filters.py` reads what is
asked for.
"""
