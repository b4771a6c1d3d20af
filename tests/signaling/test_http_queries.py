"""What queries and `Accept` headers ask for, and how they are refused."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from signaling.http.endpoint import Call, Endpoint, Reply, Services
from signaling.http.pagination import PageRequest, cursor_of
from signaling.http.queries import accepted, parameters

CSV_TOO = ("application/json", "text/csv")


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of an endpoint."""

    from_ms: Annotated[int, Meta(ge=0, le=100)]
    room: Annotated[str, Meta(pattern="^[a-z]+$")] | None = None
    technical: bool = False


async def nothing(services: Services, call: Call[Any]) -> Reply:
    return Reply(200)


def endpoint(query: type[Struct] | None = Wanted, *, paged: bool = True) -> Endpoint[Any]:
    return Endpoint(
        method="GET",
        path="/x",
        name="x",
        summary="",
        scope="",
        handle=nothing,
        status=200,
        result=None,
        query=query,
        paged=paged,
    )


def test_parameters_become_values_of_their_types() -> None:
    page, wanted = parameters(endpoint(), [("from_ms", "12"), ("technical", "true"), ("limit", "7")])
    assert (page, wanted) == (PageRequest(7), Wanted(12, None, True))
    cursor = cursor_of(5, "s")
    page, wanted = parameters(endpoint(), [("room", "null"), ("cursor", cursor), ("from_ms", "0")])
    assert (page.cursor, wanted) == ((5, "s"), Wanted(0, "null"))


def test_an_endpoint_that_takes_nothing_does_not_look() -> None:
    assert parameters(endpoint(None, paged=False), [("a", "b"), ("a", "b")]) == (PageRequest(), None)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ([], errors.INVALID_FIELD),
        ([("from_ms", "")], errors.INVALID_FIELD),
        ([("from_ms", "101")], errors.INVALID_FIELD),
        ([("from_ms", "-1")], errors.INVALID_FIELD),
        ([("from_ms", "9" * 400)], errors.INVALID_FIELD),
        ([("from_ms", "1.5")], errors.INVALID_FIELD),
        ([("from_ms", "1"), ("from_ms", "1")], errors.INVALID_FIELD),
        ([("from_ms", "1"), ("room", "A")], errors.INVALID_FIELD),
        ([("from_ms", "1"), ("technical", "perhaps")], errors.INVALID_FIELD),
        ([("from_ms", "1"), ("other", "1")], errors.INVALID_FIELD),
        ([("from_ms", "1"), ("limit", "0")], errors.INVALID_FIELD),
        ([("from_ms", "1"), ("cursor", "!")], errors.CURSOR_INVALID),
    ],
)
def test_what_is_not_declared_is_refused(query: list[tuple[str, str]], kind: ErrorKind) -> None:
    with pytest.raises(ProtocolError) as refused:
        parameters(endpoint(), query)
    assert refused.value.kind is kind


def test_a_refusal_names_what_is_taken_and_quotes_nothing() -> None:
    with pytest.raises(ProtocolError) as refused:
        parameters(endpoint(), [("from_ms", "1"), ("secret", "word")])
    detail = refused.value.detail
    assert detail == "the query takes `cursor`, `from_ms`, `limit`, `room`, `technical` only"
    with pytest.raises(ProtocolError) as refused:
        parameters(endpoint(None), [("secret", "word")])
    assert refused.value.detail == "the query takes `limit` and `cursor` only"
    with pytest.raises(ProtocolError) as refused:
        parameters(endpoint(paged=False), [("from_ms", "1"), ("limit", "5")])
    assert "`limit`" not in refused.value.detail


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV ; charset=utf-8", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv, application/json", "application/json"),
        ("text/csv;q=0.9, application/json;q=0.8", "text/csv"),
        ("text/csv;q=0.5, */*", "application/json"),
        ("*/*;q=0.1, text/csv;q=0.2", "text/csv"),
        ("text/csv;q=0, */*", "application/json"),
        ("application/xml", "application/json"),
        ("text/csv;q=much", "application/json"),
        (",;,;q=,", "application/json"),
    ],
)
def test_the_best_accepted_media_type_is_chosen(header: str, chosen: str) -> None:
    assert accepted(CSV_TOO, header) == chosen
