"""PostgreSQL's errors as ours.

They name the kind of failure and nothing of the data. The errors that they are made of may quote some of
it, and are never chained to them.
"""

from typing import Final

import asyncpg

from relay.errors import StoreError, StoreFull, StoreUnusable, Unstorable

FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Whatever a call to PostgreSQL ends with when it fails."""

_AGAIN: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # Another writer has just inserted or deleted the row that this one has looked for.
    asyncpg.UniqueViolationError,
    asyncpg.ForeignKeyViolationError,
    # A migration has changed what was prepared; asyncpg prepares it anew.
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # it was the primary, and is a standby now
    asyncpg.InternalClientError,  # no server of those named is the primary; what came was not understood
)
_OUT_OF_ORDER: Final = (
    asyncpg.OperatorInterventionError,  # a statement that took too long is one of these
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
)
_REFUSED: Final = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, ValueError, OverflowError)
_UNUSABLE: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.ClientConfigurationError,
)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or is of no use any more."""
    return isinstance(error, _LOST) or (
        isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
    )


def is_worth_another_try(error: BaseException) -> bool:
    """Whether the transaction has met another one, and may succeed when it is done again."""
    return isinstance(error, _AGAIN)


def concerns_all(error: BaseException) -> bool:
    """Whether PostgreSQL would have failed with any other call as well, as far as can be told."""
    return is_lost(error) or is_worth_another_try(error) or isinstance(error, _OUT_OF_ORDER)


def is_refused_value(error: BaseException) -> bool:
    """Whether a value cannot be stored, said by PostgreSQL or before it was sent."""
    return isinstance(error, _REFUSED)


def translated(error: BaseException) -> StoreError:
    """One of `FAILURES` as one of ours."""
    if isinstance(error, StoreError):
        return error
    state = getattr(error, "sqlstate", None) or type(error).__name__
    if is_refused_value(error):
        return Unstorable(f"a value cannot be stored ({state})")
    if isinstance(error, asyncpg.DiskFullError):
        return StoreFull("no space left for the store")
    if isinstance(error, _UNUSABLE):
        return StoreUnusable(f"the store's database cannot be used ({state})")
    if is_lost(error):
        return StoreError(f"the store's database cannot be reached ({state})")
    return StoreError(f"the store's database failed ({state})")
