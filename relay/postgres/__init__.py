"""The Store for a cluster: one PostgreSQL, any number of processes that write to it at once.

`store.py` is the port's shell; `writer.py` applies a batch of calls in one transaction and finds out what
became of it when the connection is lost, with `runs.py` for appends and acknowledgements and `changes.py`
for all other writes; `reads.py` has the queries, `pool.py` the connections that read; `opening.py` connects
and tells a restored database from the one it was; `schema.py` and `migrating.py` are the tables and how
they get there; `locks.py`, `rooms.py` and `horizon.py` are what keeps writers out of each other's way. The
parts of the port stand in modules of their own, as in `relay.sqlite`.
"""

from relay.postgres.opening import Target, begin_epoch
from relay.postgres.store import PostgresStore

__all__ = ["PostgresStore", "Target", "begin_epoch"]
