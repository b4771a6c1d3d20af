"""Who may come in, and keys that rotate at an issuer on a real HTTP server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.settings import TokenSettings
from protocol.errors import ProtocolError
from protocol.tokens import Claims, mint
from relay.sqlite import SqliteStore
from relay.writes import Reinstate, Revoke
from signaling import key_sets as module
from signaling.access import Access
from signaling.audit.origin import Origin
from signaling.key_sets import KeySets
from signaling.timebase import Timebase

SECRET = "a secret for tests that is long enough"
ISSUER = "https://platform.example"


class Issuer:
    """Signs tokens, and publishes its keys at ``url``."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.fetched = 0
        self.url = ""
        self.answer: Callable[[], web.Response] = self._jwks

    def rotate(self, key_id: str) -> None:
        """A new key in place of all others."""
        self.keys = {key_id: Ed25519PrivateKey.generate()}

    def sign(self, key_id: str, **claims: Any) -> str:
        payload = {"iss": ISSUER, "sub": "ann", "role": "client", "exp": Timebase().now_ms() / 1000 + 60}
        return jwt.encode(payload | claims, self.keys[key_id], algorithm="EdDSA", headers={"kid": key_id})

    async def serve(self, request: web.Request) -> web.Response:
        self.fetched += 1
        return self.answer()

    async def serve_keys(self, request: web.Request) -> web.Response:
        return self._jwks()

    def _jwks(self) -> web.Response:
        keys = [
            json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key())) | {"kid": key_id}
            for key_id, key in self.keys.items()
        ]
        return web.json_response({"keys": keys})


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    issuer.rotate("first")
    app = web.Application()
    app.router.add_get("/jwks", issuer.serve)
    app.router.add_get("/elsewhere", issuer.serve_keys)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield issuer
    await runner.cleanup()


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "s.db")
    await store.open()
    yield store
    await store.close()


class Notes:
    """Keeps whose logins failed, and of what."""

    def __init__(self) -> None:
        self.failed: list[tuple[str, str]] = []

    def note(
        self, by: Origin, action: str, kind: str, name: str, outcome: str, *, room: str = "", reason: str = ""
    ) -> None:
        self.failed.append((by.actor, outcome))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def access(store: SqliteStore, issuer: Issuer, clock: Clock, notes: Notes) -> Access:
    settings = TokenSettings(keys={"key": SECRET}, jwks={ISSUER: issuer.url})
    key_sets = KeySets(settings.jwks, monotonic=clock)
    return Access(settings, store, key_sets, Timebase(), notes)


def own(seconds: float = 60, **claims: Any) -> str:
    now = Timebase().now_ms() / 1000
    return mint(Claims(iss="key", sub="ann", role="client", exp=now + seconds, **claims), SECRET)


async def refused(access: Access, token: str, device: str | None = None) -> str:
    with pytest.raises(ProtocolError) as caught:
        await access.verify(token, device)
    assert token not in str(caught.value) or not token
    return caught.value.kind.name


async def test_a_good_token_gives_its_claims(access: Access, issuer: Issuer) -> None:
    assert (await access.verify(own())).sub == "ann"
    assert issuer.fetched == 0


async def test_every_fault_of_a_token_has_its_name(access: Access) -> None:
    now = Timebase().now_ms() / 1000
    other = mint(Claims("key", "ann", "client", now + 60), "another secret that is long enough too")
    payload = {"iss": "key", "sub": "ann", "role": "client", "exp": now + 60}
    unsigned = jwt.encode(payload, "", algorithm="none")
    stranger = mint(Claims("stranger", "ann", "client", now + 60), SECRET)
    assert await refused(access, "") == "token_missing"
    assert await refused(access, "not a token") == "token_malformed"
    assert await refused(access, own(-60)) == "token_expired"
    assert await refused(access, own(nbf=now + 60)) == "token_not_yet_valid"
    assert await refused(access, other) == "token_signature"
    assert await refused(access, unsigned) == "token_algorithm"
    assert await refused(access, stranger) == "token_unknown_key"
    assert await refused(access, own(10 * 86_400)) == "token_lifetime"


async def test_a_token_for_a_device_is_good_on_no_other(access: Access) -> None:
    assert (await access.verify(own(device="d"), "d")).device == "d"
    assert await refused(access, own(device="d"), "e") == "token_scope"
    assert await refused(access, own(device="d")) == "token_scope"


async def test_a_revoked_device_or_account_is_kept_out(access: Access, store: SqliteStore) -> None:
    await store.commit(Revoke("ann", "d", 1))
    assert await refused(access, own(), "d") == "revoked"
    await access.verify(own(), "e")
    await access.verify(own())
    await store.commit(Revoke("ann", None, 1))
    assert await refused(access, own(), "e") == "revoked"
    assert await refused(access, own()) == "revoked"
    await store.commit(Reinstate("ann", None), Reinstate("ann", "d"))
    await access.verify(own(), "d")


async def test_an_issuers_keys_are_fetched_once(access: Access, issuer: Issuer) -> None:
    token = issuer.sign("first")
    many = await asyncio.gather(*[access.verify(token) for _ in range(20)])
    assert {claims.iss for claims in many} == {ISSUER}
    await access.verify(issuer.sign("first"))
    assert issuer.fetched == 1


async def test_a_new_key_is_fetched_when_it_is_named(access: Access, issuer: Issuer, clock: Clock) -> None:
    old = issuer.sign("first")
    await access.verify(old)
    issuer.rotate("second")
    clock.now += module.FLOOR_SECONDS
    await access.verify(issuer.sign("second"))
    assert issuer.fetched == 2
    assert await refused(access, old) == "token_unknown_key"


async def test_forged_tokens_do_not_make_us_a_nuisance(access: Access, issuer: Issuer, clock: Clock) -> None:
    await access.verify(issuer.sign("first"))
    forger = Issuer()
    forger.rotate("forged")
    for _ in range(50):
        assert await refused(access, forger.sign("forged")) == "token_unknown_key"
    assert issuer.fetched == 1
    clock.now += module.FLOOR_SECONDS
    assert await refused(access, forger.sign("forged")) == "token_unknown_key"
    assert issuer.fetched == 2


async def test_a_withdrawn_key_is_not_good_for_long(access: Access, issuer: Issuer, clock: Clock) -> None:
    token = issuer.sign("first")
    await access.verify(token)
    issuer.rotate("second")
    clock.now += module.FRESH_SECONDS + 1
    assert await refused(access, token) == "token_unknown_key"


async def test_known_keys_stay_good_without_the_issuer(access: Access, issuer: Issuer, clock: Clock) -> None:
    token = issuer.sign("first")
    await access.verify(token)
    issuer.answer = lambda: web.Response(status=503)
    clock.now += module.FRESH_SECONDS + 1
    await access.verify(token)
    assert issuer.fetched == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda: web.Response(text="not a key set"),
        lambda: web.Response(body=b'{"keys": []}'),
        lambda: web.Response(body=b" " * (module.MAX_BYTES + 1)),
        lambda: web.Response(body=b"[" * 100_000),
    ],
)
async def test_without_keys_the_answer_is_to_try_again(
    access: Access, issuer: Issuer, clock: Clock, answer: Callable[[], web.Response]
) -> None:
    working, issuer.answer = issuer.answer, answer
    token = issuer.sign("first")
    with pytest.raises(ProtocolError) as caught:
        await access.verify(token)
    assert caught.value.kind.name == "overloaded"
    assert caught.value.retry_after_ms is not None
    assert await refused(access, token) == "overloaded"
    assert issuer.fetched == 1
    issuer.answer = working
    clock.now += module.FLOOR_SECONDS
    await access.verify(token)


async def test_an_issuers_keys_prove_nothing_of_another(access: Access, issuer: Issuer) -> None:
    assert await refused(access, issuer.sign("first", iss="key")) == "token_algorithm"


async def test_failed_logins_are_recorded_without_what_nobody_has_proved(
    access: Access, store: SqliteStore, notes: Notes
) -> None:
    await access.verify(own(), "d")
    await refused(access, own(-60), "d")
    await refused(access, own(device="e"), "d")
    await store.commit(Revoke("ann", None, 1))
    await refused(access, own(), "d")
    assert notes.failed == [("", "token_expired"), ("ann", "token_scope"), ("ann", "revoked")]
