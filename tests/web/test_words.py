"""The words on the pages against the names in the protocol: none without words, and no words without use."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from protocol.errors import close_codes, error_kinds
from protocol.fields import EndReason
from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives


async def test_words_are_about_errors_that_exist(page: Page) -> None:
    with_words = await page.evaluate("import('/app/troubles.js').then(({ ERRORS }) => Object.keys(ERRORS))")
    assert set(with_words) <= {kind.name for kind in error_kinds()}


async def test_every_error_says_what_to_do(page: Page) -> None:
    kinds = json.dumps([kind.name for kind in error_kinds()])
    told = await page.evaluate(
        f"""import('/app/troubles.js').then(({{ errorWords }}) =>
            {kinds}.map((kind) => errorWords({{ kind }})))"""
    )
    assert all(words["text"].endswith(".") and words["advice"].endswith(".") for words in told)


async def test_every_end_has_words_of_its_own(page: Page) -> None:
    reasons = json.dumps(get_args(EndReason))
    for reader in ("therapist", "client"):
        told = await page.evaluate(
            f"""import('/app/words.js').then(({{ endWords }}) =>
                {reasons}.map((reason) => endWords({{ state: "ended", reason }}, "{reader}").text))"""
        )
        assert len(set(told)) == len(get_args(EndReason))


async def test_every_final_close_code_is_explained(page: Page) -> None:
    final = json.dumps([close.code for close in close_codes() if not close.reconnect])
    told = await page.evaluate(
        f"""import('/app/troubles.js').then(({{ closedWords }}) =>
            {final}.map((code) => closedWords({{ code, error: null }})))"""
    )
    assert all(words["title"] and words["text"] for words in told)
