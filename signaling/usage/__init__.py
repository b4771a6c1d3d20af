"""Usage: what billing asks of sessions, worked out from their segments.

`minutes.py` adds up who was there; `codes.py` suggests billing codes; `absence.py` judges the evidence that a
client did not come; `records.py` puts them together for one session, `table.py` writes that as CSV;
`service.py` reads sessions from the store. Nothing is kept: the sessions are the truth.
"""
