"""The embedded Store: one SQLite file, one writer, a few readers.

`store.py` is the port's shell; `group.py` groups calls into batches; `writer.py` applies a batch in one
transaction, with `catalog.py` as its memory and `changes.py` for all writes but the frequent ones; `reads.py`
has the queries; `schema.py` the migrations; `opening.py` opens the file; `guard.py` keeps other processes out
and notices a restored file.
"""

from relay.sqlite.opening import begin_epoch
from relay.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "begin_epoch"]
