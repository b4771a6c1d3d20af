"""The OpenAPI document (3.1), made of the table that the routes are made of."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, get_args

import msgspec

from protocol import errors
from protocol.errors import ErrorKind
from protocol.reference import field_docs
from signaling.http.api import ENDPOINTS
from signaling.http.blobs_api import BLOBS
from signaling.http.endpoint import JSON, AnyEndpoint
from signaling.http.member_endpoint import DEVICE_HEADER, MemberEndpoint
from signaling.http.pagination import DEFAULT_LIMIT, MAX_CURSOR_CHARACTERS, MAX_LIMIT
from signaling.http.schemas import Problem
from signaling.ids import ID_PATTERN

_BYTES = "application/octet-stream"
_REFERENCE = "#/components/schemas/{name}"

_SHARED = {"protocol.around"}
"""The modules of types that bodies are made of and that the wire has, too."""

_ALWAYS = (
    errors.TOKEN_MISSING,
    errors.TOKEN_MALFORMED,
    errors.TOKEN_SIGNATURE,
    errors.TOKEN_EXPIRED,
    errors.TOKEN_NOT_YET_VALID,
    errors.TOKEN_UNKNOWN_KEY,
    errors.TOKEN_ALGORITHM,
    errors.TOKEN_LIFETIME,
    errors.TOKEN_SCOPE,
    errors.REVOKED,
    errors.FORBIDDEN,
    errors.INTERNAL,
    errors.OVERLOADED,
    errors.GOING_AWAY,
)
_WITH_BODY = (
    errors.MALFORMED,
    errors.TOO_DEEP,
    errors.TOO_LARGE,
    errors.INVALID_FIELD,
    errors.UNSUPPORTED_MEDIA_TYPE,
    errors.IDEMPOTENCY_MISSING,
    errors.IDEMPOTENCY_DIFFERS,
    errors.STORE_FULL,
)


def document() -> dict[str, Any]:
    """The document, as values of JSON."""
    types: list[Any] = [Problem]
    for endpoint in ENDPOINTS:
        types += [one for one in (endpoint.body, endpoint.query, endpoint.result) if one is not None]
    for one in BLOBS:
        types += [declared for declared in (one.body, one.result) if declared is not None]
    references, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    _describe_fields(components, types)
    reference_of = dict(zip(map(str, types), references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        operation = _operation(endpoint, reference_of, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    for one in BLOBS:
        paths.setdefault(one.path, {})[one.method.lower()] = _member_operation(one, reference_of)
    for endpoint in ENDPOINTS:
        if endpoint.query is not None:  # its fields are parameters: it is nowhere referred to
            components.pop(endpoint.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rapport",
            "version": version("rapport-rtc"),
            "summary": "Rooms and sessions, for back ends; attachments, for members of rooms",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": []}],
    }


def refusals(endpoint: AnyEndpoint) -> tuple[ErrorKind, ...]:
    """Every kind of refusal that an endpoint documents."""
    kinds = [*_ALWAYS, *endpoint.errors]
    if "{" in endpoint.path:
        kinds.append(errors.INVALID_FIELD)
    if endpoint.query is not None:
        kinds.append(errors.INVALID_FIELD)
    if endpoint.paged:
        kinds += [errors.INVALID_FIELD, errors.CURSOR_INVALID]
    if endpoint.body is not None:
        kinds += _WITH_BODY
    if endpoint.method in {"PUT", "DELETE"}:
        kinds.append(errors.STORE_FULL)
    return tuple(dict.fromkeys(kinds))


def _operation(
    endpoint: AnyEndpoint, reference_of: dict[str, dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."}
    if endpoint.result is not None:
        text: dict[str, Any] = {"schema": {"type": "string"}}
        json = {"schema": reference_of[str(endpoint.result)]}
        success["content"] = {name: json if name == JSON else text for name in endpoint.media_types}
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"The token needs the role `operator` and the scope `{endpoint.scope}`.",
        "parameters": list(_parameters(endpoint, components)),
        "responses": {str(endpoint.status): success, **_problems(refusals(endpoint))},
    }
    if endpoint.body is not None:
        content = {JSON: {"schema": reference_of[str(endpoint.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _member_operation(endpoint: MemberEndpoint, reference_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    plain: dict[str, Any] = {"type": "string"}
    device = "The device that asks, if the token is for one device only."
    given = {DEVICE_HEADER: device, **endpoint.headers}
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": "For members of rooms, with the token that they connect with.",
        "parameters": [
            *(
                _parameter("path", name, "The id.", plain, required=True)
                for name in re.findall(r"{(\w+)}", endpoint.path)
            ),
            *(_parameter("header", name, text, plain) for name, text in given.items()),
        ],
        "responses": {
            **{
                str(status): _member_answer(endpoint, reference_of, text)
                for status, text in endpoint.answers.items()
            },
            **_problems(dict.fromkeys((*_ALWAYS, errors.INVALID_FIELD, *endpoint.errors))),
        },
    }
    if endpoint.body is not None:
        content: dict[str, Any] = {JSON: {"schema": reference_of[str(endpoint.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    elif endpoint.takes_bytes:
        operation["requestBody"] = {"required": True, "content": {_BYTES: {}}}
    return operation


def _member_answer(
    endpoint: MemberEndpoint, reference_of: dict[str, dict[str, Any]], text: str
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": text}
    if endpoint.answered:
        answer["headers"] = {
            name: {"description": what, "schema": {"type": "string"}}
            for name, what in endpoint.answered.items()
        }
    if endpoint.result is not None:
        answer["content"] = {JSON: {"schema": reference_of[str(endpoint.result)]}}
    elif endpoint.gives_bytes:
        answer["content"] = {_BYTES: {}}
    return answer


def _parameters(endpoint: AnyEndpoint, components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", endpoint.path):
        yield _parameter("path", name, "The id.", {"type": "string", "pattern": ID_PATTERN}, required=True)
    if endpoint.method == "POST":
        schema: dict[str, Any] = {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"}
        text = "Any text that no other request of yours has: the same request again gets the same reply."
        yield _parameter("header", "Idempotency-Key", text, schema, required=True)
    if endpoint.query is not None:
        described = components[endpoint.query.__name__]
        for name, schema in described["properties"].items():
            needed = name in described.get("required", ())
            plain = {key: value for key, value in schema.items() if key != "description"}
            yield _parameter("query", name, schema["description"], plain, required=needed)
    if endpoint.paged:
        limits = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        yield _parameter("query", "limit", "At most so many items.", limits)
        cursor = {"type": "string", "maxLength": MAX_CURSOR_CHARACTERS}
        yield _parameter("query", "cursor", "`next` of the page before.", cursor)


def _parameter(
    place: str, name: str, text: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    return {"in": place, "name": name, "description": text, "required": required, "schema": schema}


def _problems(kinds: Iterable[ErrorKind]) -> dict[str, Any]:
    """One response per status, naming the kinds that it stands for."""
    by_status: dict[int, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(f"`{kind.name}`: {kind.meaning}")
    schema = {"$ref": _REFERENCE.format(name=Problem.__name__)}
    content = {"application/problem+json": {"schema": schema}}
    return {
        str(status): {"description": "; ".join(meanings), "content": content}
        for status, meanings in sorted(by_status.items())
    }


def _describe_fields(components: dict[str, Any], types: Iterable[Any]) -> None:
    """Give every field the string that stands under it in the source."""
    modules = {one.__module__ for declared in types for one in (declared, *get_args(declared))} | _SHARED
    docs = field_docs(inspect.getsource(sys.modules[name]) for name in sorted(modules))
    for name, schema in components.items():
        fields = docs.get(name) or docs.get(name.partition("_")[0], {})
        for field, text in fields.items():
            schema["properties"][field]["description"] = text
