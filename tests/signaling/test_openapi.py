"""The OpenAPI document is whole, and says what the routes do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from signaling.http.api import ENDPOINTS
from signaling.http.blobs_api import BLOBS
from signaling.http.openapi import document

DOCUMENT = document()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def nested(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        yield from nested(one)


def test_has_what_openapi_asks_for() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version", "summary", "license"} <= DOCUMENT["info"].keys()
    for _, _, operation in operations():
        assert {"operationId", "summary", "responses", "parameters"} <= operation.keys()
        for response in operation["responses"].values():
            assert response["description"]


def test_every_endpoint_stands_in_it_once() -> None:
    listed = {(path, method.upper(), operation["operationId"]) for path, method, operation in operations()}
    for_back_ends = {(one.path, one.method, one.name) for one in ENDPOINTS}
    assert listed == for_back_ends | {(one.path, one.method, one.name) for one in BLOBS}
    assert len({name for _, _, name in listed}) == len(ENDPOINTS) + len(BLOBS)


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    references = [one["$ref"] for one in nested(DOCUMENT) if isinstance(one, dict) and "$ref" in one]
    assert references
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= schemas.keys()


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()))
def test_parameters_are_those_of_the_address_and_posts_of_back_ends_need_a_key(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    named = {(one["in"], one["name"]) for one in operation["parameters"]}
    assert {name for place, name in named if place == "path"} == set(re.findall(r"{(\w+)}", path))
    for_back_ends = operation["operationId"] not in {one.name for one in BLOBS}
    assert (("header", "Idempotency-Key") in named) == (method == "post" and for_back_ends)
    assert ("requestBody" in operation) == (method in {"post", "patch"})


def test_every_field_is_explained() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
        for field, declared in schema["properties"].items():
            assert declared.get("description"), f"{name}.{field}"


def test_patterns_are_good_for_readers_in_other_languages() -> None:
    """ECMA-262, which OpenAPI means, has no ``\\Z`` and no named groups as Python writes them."""
    for one in nested(DOCUMENT):
        if isinstance(one, dict) and isinstance(one.get("pattern"), str):
            assert "\\Z" not in one["pattern"]
            assert "(?P" not in one["pattern"]
