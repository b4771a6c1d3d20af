"""Who is connected: how many connections each account holds on this node."""

from collections.abc import Sequence


class Presence:
    """Counts connections by account. An account is online while it holds at least one."""

    def __init__(self) -> None:
        self._connections: dict[str, int] = {}

    def attach(self, account: str) -> bool:
        """Count one connection more; True if the account came online by it."""
        count = self._connections.get(account, 0) + 1
        self._connections[account] = count
        return count == 1

    def detach(self, account: str) -> bool:
        """Count one connection less; True if the account went offline by it. `KeyError` if it held none."""
        count = self._connections[account] - 1
        if count:
            self._connections[account] = count
            return False
        del self._connections[account]
        return True

    def __contains__(self, account: str) -> bool:
        """Whether the account is online."""
        return account in self._connections

    def __len__(self) -> int:
        """How many accounts are online."""
        return len(self._connections)

    def accounts(self) -> Sequence[str]:
        """All that are online now."""
        return list(self._connections)
