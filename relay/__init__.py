"""Rooms' logs: store and forward.

`store.py` is the Store port (rows in `rows.py`, writes in `writes.py`, errors in `errors.py`), `sqlite/` its
embedded implementation and `postgres/` the one for several nodes; `bus/` is the Bus port, in one process and
over Redis; `delivery.py` decides what one subscriber is sent and when; `presence.py` counts who is connected.
Nothing here knows WebSockets, HTTP or the meaning of a body.
"""
