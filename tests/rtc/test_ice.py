"""The ICE-lite agent, driven by a clock of the test."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc import stun
from rtc.ice import MAX_PATHS, Credentials, IceAgent, IceState
from tests.rtc.rig import address

LOCAL = Credentials("server00", "password-of-the-server-00")
NEXT = Credentials("server01", "password-of-the-server-01")


def selected(ice: IceAgent) -> bytes | None:
    """Where it would send; read anew each time."""
    return ice.selected


def agent() -> IceAgent:
    return IceAgent(LOCAL, "client", now=0.0, consent_seconds=30.0)


def check(
    local: Credentials = LOCAL,
    remote: str = "client",
    password: str | None = None,
    *,
    nominate: bool = False,
    controlled: bool = False,
) -> stun.BindingRequest:
    signed = b"signed"
    key = (password or local.password).encode()
    request = stun.BindingRequest(b"0" * 12, local.ufrag, remote, nominate, controlled, signed, b"")
    integrity = hmac.digest(key, signed, "sha1")
    return stun.BindingRequest(
        request.transaction_id, local.ufrag, remote, nominate, controlled, signed, integrity
    )


def test_a_valid_check_proves_its_address() -> None:
    ice = agent()
    assert selected(ice) is None
    result = ice.receive_check(check(), address(1), 100, now=1.0)
    assert result is not None
    assert result.proven
    assert result.response is not None
    assert selected(ice) == address(1)
    assert ice.state is IceState.CONNECTED


@pytest.mark.parametrize(
    "request_",
    [check(password="wrong"), check(remote="another"), check(local=NEXT)],
    ids=["password", "remote", "local"],
)
def test_wrong_credentials_prove_nothing(request_: stun.BindingRequest) -> None:
    ice = agent()
    assert ice.receive_check(request_, address(1), 100, now=1.0) is None
    assert selected(ice) is None
    assert ice.state is IceState.NEW


def test_media_follows_the_nomination_and_not_mere_checks() -> None:
    ice = agent()
    ice.receive_check(check(), address(1), 100, now=1.0)
    ice.receive_check(check(), address(2), 100, now=1.1)
    assert selected(ice) == address(2)  # nothing is nominated yet: the latest is the best guess
    ice.receive_check(check(nominate=True), address(1), 100, now=1.2)
    ice.receive_check(check(), address(3), 100, now=1.3)
    assert selected(ice) == address(1)
    ice.receive_check(check(nominate=True), address(3), 100, now=1.4)
    assert selected(ice) == address(3)


def test_a_client_in_the_wrong_role_is_told() -> None:
    ice = agent()
    result = ice.receive_check(check(controlled=True), address(1), 100, now=1.0)
    assert result is not None
    assert not result.proven
    assert selected(ice) is None


def test_the_answer_is_never_longer_than_the_check() -> None:
    result = agent().receive_check(check(), address(1), 40, now=1.0)
    assert result is not None
    assert result.response is None


def test_consent_runs_out_and_comes_back() -> None:
    ice = agent()
    ice.receive_check(check(nominate=True), address(1), 100, now=10.0)
    assert not ice.expire(now=40.0)
    assert ice.expire(now=40.1)
    assert not ice.expire(now=41.0), "it is lost once"
    assert ice.forget_paths() == (address(1),)
    assert selected(ice) is None
    ice.receive_check(check(), address(2), 100, now=50.0)
    assert ice.state is IceState.CONNECTED
    assert selected(ice) == address(2)


def test_who_never_comes_is_lost_too() -> None:
    assert agent().expire(now=30.5)


def test_a_restart_keeps_the_old_path_until_the_new_one_works() -> None:
    ice = agent()
    ice.receive_check(check(nominate=True), address(1), 100, now=1.0)
    ice.restart(NEXT, "client2", now=2.0)
    assert list(ice.ufrags) == [NEXT.ufrag, LOCAL.ufrag]
    assert ice.receive_check(check(nominate=True), address(1), 100, now=2.1) is not None
    assert selected(ice) == address(1)
    assert ice.receive_check(check(NEXT, "client2"), address(2), 100, now=2.2) is not None
    assert selected(ice) == address(2)
    assert list(ice.ufrags) == [NEXT.ufrag]
    assert ice.receive_check(check(), address(1), 100, now=2.3) is None


@given(st.lists(st.integers(0, 40), max_size=200))
def test_paths_are_bounded_and_the_selected_one_stays(numbers: list[int]) -> None:
    ice = agent()
    ice.receive_check(check(nominate=True), address(100), 100, now=0.0)
    known = {address(100)}
    for number in numbers:
        result = ice.receive_check(check(), address(number), 100, now=0.0)
        assert result is not None
        known.add(address(number))
        known -= {result.evicted} if result.evicted is not None else set()
        assert len(known) <= MAX_PATHS
        assert selected(ice) == address(100)
    assert set(ice.forget_paths()) == known
