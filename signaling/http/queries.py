"""What the query of an address and the `Accept` header ask for. Bounded by the HTTP parser's limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from protocol import errors
from protocol.codec import explain
from protocol.errors import ProtocolError
from signaling.http.endpoint import AnyEndpoint
from signaling.http.pagination import PARAMETERS, PageRequest, page_request


def parameters(endpoint: AnyEndpoint, query: Iterable[tuple[str, str]]) -> tuple[PageRequest, Any]:
    """The page and the parameters that an endpoint is asked for; None where it takes no parameters.

    ``invalid_field``, ``cursor_invalid``. An endpoint that takes neither does not look at the query.
    """
    if not endpoint.paged and endpoint.query is None:
        return PageRequest(), None
    given: dict[str, str] = {}
    for name, value in query:
        if name in given:
            raise ProtocolError(errors.INVALID_FIELD, "the query has a parameter twice")
        given[name] = value
    of_page = {name: given.pop(name) for name in PARAMETERS & given.keys()} if endpoint.paged else {}
    return page_request(of_page), _converted(endpoint, given)


def accepted(media_types: Sequence[str], header: str) -> str:
    """The media type that an `Accept` header (RFC 9110, 12.5.1) ranks highest; the first one in a tie.

    A header that accepts none of them is disregarded, as the RFC allows.
    """
    ranges = [_range(one) for one in header.split(",") if one.strip()]

    def weight(media_type: str) -> float:
        group = media_type.partition("/")[0]
        for pattern in (media_type, f"{group}/*", "*/*"):  # the most specific range decides
            weights = [quality for name, quality in ranges if name == pattern]
            if weights:
                return max(weights)
        return 0.0

    return max(media_types, key=weight)


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return name, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return name, 0.0


def _converted(endpoint: AnyEndpoint, given: dict[str, str]) -> Any:
    if endpoint.query is None:
        if given:
            raise ProtocolError(errors.INVALID_FIELD, "the query takes `limit` and `cursor` only")
        return None
    taken = {field.encode_name for field in msgspec.structs.fields(endpoint.query)}
    if given.keys() - taken:
        names = ", ".join(f"`{name}`" for name in sorted(taken | (PARAMETERS if endpoint.paged else set())))
        raise ProtocolError(errors.INVALID_FIELD, f"the query takes {names} only")
    try:
        return msgspec.convert(given, endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        raise ProtocolError(errors.INVALID_FIELD, explain(error)) from None
