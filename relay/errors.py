"""Everything a store raises: one tree, each class with a stable name that a caller may put on the wire.

Messages name the kind of row and the limit, never an id, a body or a path given by a client.
"""

from typing import ClassVar


class StoreError(Exception):
    """A store could not do what was asked. Nothing of that call was written, but for `OutcomeUnknown`.

    `name` is stable; `temporary` says whether the same call may succeed later without anything else changing.
    """

    name: ClassVar[str] = "store_failed"
    temporary: ClassVar[bool] = True


class NotFound(StoreError):
    """The room, member, session or deadline does not exist, or the sender is not a member: one answer for
    both.
    """

    name = "not_found"
    temporary = False


class Conflict(StoreError):
    """The row exists already, or its version has moved on."""

    name = "conflict"
    temporary = False


class TooMany(StoreError):
    """As many rows of this kind as allowed are there already."""

    name = "too_many"
    temporary = False


class Outdated(StoreError):
    """A sealed event is for other device lists than those that the members of its room have now."""

    name = "outdated"
    temporary = False


class UnknownEpoch(StoreError):
    """A sealed event belongs to another sender epoch than the one its device opened last in the room."""

    name = "unknown_epoch"
    temporary = False


class BeyondHead(StoreError):
    """A cursor was to be moved past the last event of its room."""

    name = "beyond_head"
    temporary = False


class StaleEpoch(StoreError):
    """A cursor was given for another epoch than the log has now."""

    name = "stale_epoch"
    temporary = False


class Unstorable(StoreError):
    """A value cannot be stored at all: text with lone surrogates, an integer beyond 64 bits."""

    name = "unstorable"
    temporary = False


class Overloaded(StoreError):
    """The bounded queue in front of the store is full; nothing was queued."""

    name = "overloaded"


class StoreFull(StoreError):
    """No space left to write. Reads go on, and writes succeed again as soon as there is space."""

    name = "store_full"


class StoreClosed(StoreError):
    """The store is not open, or is closing and takes no new calls."""

    name = "store_closed"


class OutcomeUnknown(StoreError):
    """The storage was lost in the middle of a commit: what was asked may be written or not.

    The one error that does not mean that nothing was written. Whoever repeats the call must be able to bear
    that it was: an append with a mid can be repeated as it is.
    """

    name = "outcome_unknown"


class StoreRestored(StoreError):
    """The storage was put back to an earlier state while the store was open, and its logs have another epoch.

    The store has to be closed and opened again.
    """

    name = "store_restored"
    temporary = False


class StoreInUse(StoreError):
    """Another process has this store open."""

    name = "store_in_use"


class SchemaTooNew(StoreError):
    """The store was written by a newer version of this program; this one must not touch it."""

    name = "schema_too_new"
    temporary = False


class NodeBuried(StoreError):
    """The node was taken for dead: it writes nothing more under its name."""

    name = "node_buried"
    temporary = False


class StoreUnusable(StoreError):
    """The file is not a store of this program, is damaged, or cannot be opened for writing."""

    name = "store_unusable"
    temporary = False
