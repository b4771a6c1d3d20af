"""Who is connected: how many connections each device of each account holds on this node."""

from collections.abc import Collection, Sequence


class Presence:
    """Counts connections by account and device. An account is online while it holds at least one."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, int]] = {}

    def attach(self, account: str, device: str) -> bool:
        """Count one connection more; True if the account came online by it."""
        devices = self._accounts.setdefault(account, {})
        came = not devices
        devices[device] = devices.get(device, 0) + 1
        return came

    def detach(self, account: str, device: str) -> bool:
        """Count one connection less; True if the account went offline by it. `KeyError` if it held none."""
        devices = self._accounts[account]
        count = devices[device] - 1
        if count:
            devices[device] = count
            return False
        del devices[device]
        if devices:
            return False
        del self._accounts[account]
        return True

    def devices(self, account: str) -> Collection[str]:
        """The devices of the account that hold connections; none if it is not online."""
        return self._accounts.get(account, {}).keys()

    def __contains__(self, account: str) -> bool:
        """Whether the account is online."""
        return account in self._accounts

    def __len__(self) -> int:
        """How many accounts are online."""
        return len(self._accounts)

    def accounts(self) -> Sequence[str]:
        """All that are online now."""
        return list(self._accounts)
