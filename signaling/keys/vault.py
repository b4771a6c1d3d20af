"""The vault of an account: one blob that only its person can open, kept for their next device."""

from __future__ import annotations

from protocol import errors
from protocol.errors import ProtocolError
from protocol.keys import Vault, VaultPut
from relay.documents import Document, PutDocument
from relay.errors import Conflict
from relay.store import Store
from signaling.caller import Caller
from signaling.keys.ports import Doorbell
from signaling.sessions.ports import Ledger

VAULT = "vault"
"""The kind of the documents that hold vaults, by account."""

EMPTY = b""
"""What a vault holds after the keys of its account were reset."""

_NONE = Document(0, EMPTY)


class VaultService:
    """Keeps vaults. Raises :exc:`ProtocolError` and :exc:`relay.errors.StoreError`."""

    def __init__(self, store: Store, ledger: Ledger, ring: Doorbell) -> None:
        self._store = store
        self._ledger = ledger
        self._ring = ring

    async def get(self, account: str) -> Vault:
        """An account's vault."""
        kept = await self._kept(account)
        return Vault(kept.version, kept.body)

    async def revision(self, account: str) -> int:
        """The revision of an account's vault."""
        return (await self._kept(account)).version

    async def put(self, caller: Caller, request: VaultPut) -> Vault:
        """Replace an account's vault. ``vault_changed``; not if it was this request that has changed it."""
        following = Document(request.revision + 1, request.blob)
        write = PutDocument(VAULT, caller.account, request.blob, request.revision)
        try:
            await self._ledger.commit(write)
        except Conflict:
            if await self._kept(caller.account) != following:
                raise ProtocolError(errors.VAULT_CHANGED) from None
        else:
            self._ring(caller.account, None, "vault")
        return Vault(following.version)

    async def _kept(self, account: str) -> Document:
        return (await self._store.documents(VAULT, [account])).get(account, _NONE)
