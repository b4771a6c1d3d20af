"""Who may come in: tokens against API keys and issuers' key sets, and what was revoked.

Keys of API keys are settings; those of issuers come from their JWKS (:mod:`signaling.key_sets`). What a good
token reaches is decided where it is used, with :class:`signaling.caller.Caller`.
"""

from __future__ import annotations

from config.settings import TokenSettings
from protocol import errors, tokens
from protocol.errors import ProtocolError
from protocol.tokens import Claims, Key
from relay.errors import StoreError
from relay.store import Store
from signaling.audit.origin import Origin
from signaling.key_sets import KeySets
from signaling.services import Recorder
from signaling.storage_errors import refusal
from signaling.timebase import Timebase

_MAY_BE_ROTATED = frozenset({errors.TOKEN_UNKNOWN_KEY, errors.TOKEN_SIGNATURE, errors.TOKEN_ALGORITHM})


class Access:
    """Verifies tokens. ``key_sets`` are the issuers' own keys; what is refused is recorded."""

    def __init__(
        self,
        settings: TokenSettings,
        store: Store,
        key_sets: KeySets,
        timebase: Timebase,
        recorder: Recorder,
    ) -> None:
        self._settings = settings
        self._store = store
        self._key_sets = key_sets
        self._timebase = timebase
        self._recorder = recorder
        self._api_keys = {key: (tokens.api_key(secret),) for key, secret in settings.keys.items()}

    async def verify(self, token: str, device: str | None = None, *, http: bool = False) -> Claims:
        """The claims of a good token, used from ``device`` (None: over HTTP, by no device).

        ``http``: the device asks over HTTP, and not over a connection.

        Raises :exc:`ProtocolError` of a ``token_*`` kind, ``revoked``, or a temporary kind when keys or store
        cannot be asked.
        """
        claims = await self.prove(token, device, http=http)
        await self.check_not_revoked(claims.sub, device, http=http)
        return claims

    async def prove(self, token: str, device: str | None, *, http: bool = False) -> Claims:
        """The same without asking whether the account or device is revoked."""
        try:
            claims = await self._proven(token)
        except ProtocolError as error:
            if not error.kind.temporary:
                self._record(
                    error, "", http or device is None
                )  # what an unproven token says of itself is not repeated
            raise
        if claims.device is not None and claims.device != device:
            elsewhere = ProtocolError(errors.TOKEN_SCOPE, "the token is for another device")
            self._record(elsewhere, claims.sub, http or device is None)
            raise elsewhere
        return claims

    async def check_not_revoked(self, account: str, device: str | None, *, http: bool = False) -> None:
        """``revoked`` if the account is, or the device."""
        try:
            # No device has the empty id: over HTTP only the account's own revocation bars.
            revocation = await self._store.revocation(account, device or "")
        except StoreError as error:
            raise refusal(error) from error
        if revocation is not None:
            barred = ProtocolError(errors.REVOKED)
            self._record(barred, account, http or device is None)
            raise barred

    def _record(self, error: ProtocolError, account: str, http: bool) -> None:
        """Note a login that failed, from a connection or over HTTP."""
        by = Origin(account, "", "http" if http else "websocket")
        self._recorder.note(by, "login", "", "", error.kind.name)

    async def _proven(self, token: str) -> Claims:
        issuer = tokens.issuer_of(token)
        try:
            return self._check(token, issuer, await self._keys(issuer))
        except ProtocolError as error:
            if error.kind not in _MAY_BE_ROTATED or not await self._key_sets.refresh(issuer):
                raise
        return self._check(token, issuer, await self._keys(issuer))

    async def _keys(self, issuer: str) -> tuple[Key, ...]:
        return self._api_keys.get(issuer) or await self._key_sets.current(issuer)

    def _check(self, token: str, issuer: str, keys: tuple[Key, ...]) -> Claims:
        return tokens.verify(
            token,
            {issuer: keys},
            now=self._timebase.now_ms() / 1000,
            leeway=self._settings.leeway_seconds,
            max_lifetime=self._settings.max_lifetime_seconds,
        )
