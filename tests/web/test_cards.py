"""Files, questionnaires and results as they stand among the messages, from people who mean harm, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: the modules, and `questionnaires` around a conversation that shows nothing.
LOAD = """
(async () => {
  Object.assign(globalThis, await import("/app/cards.js"), await import("/app/e2ee/forms.js"));
  const { Questionnaires } = await import("/app/questionnaires.js");
  const { uuidToBytes } = await import("/app/uuid.js");
  globalThis.mid = "01890a5d-ac96-774b-bcce-b302099a8057";
  globalThis.midBytes = uuidToBytes(mid);
  globalThis.questionnaires = new Questionnaires({});
  globalThis.result = (more) => ({
    form: "phq-9", version: 1, answers: [3, 3, 3, 3, 3, 0, 0, 0, 0], total: 15, band: "moderately severe",
    answer_to: null, ...more,
  });
})()
"""


async def shown(page: Page, expression: str) -> Any:
    await page.evaluate(LOAD)
    return await page.evaluate(f"({expression}).textContent")


async def test_a_file_is_called_what_harms_nobody(page: Page) -> None:
    await page.evaluate(LOAD)
    name = "<img src=x onerror=ran=1>.png"
    card = f"new FileCard(mid, {{ name: {json.dumps(name)}, size: 1_234_567 }}).element"
    text = await page.evaluate(f"({card}).textContent")
    assert "_img src=x onerror=ran=1_.png" in text
    assert "1.2 MB" in text
    assert await page.evaluate(f"({card}).querySelector('img')") is None


async def test_a_result_is_counted_again_by_who_reads_it(page: Page) -> None:
    assert "15 of 27: moderately severe" in await shown(page, "resultCard(result(), null)")
    lie = await shown(page, "resultCard(result({ total: 2, band: 'minimal' }), null)")
    assert "15 of 27: moderately severe" in lie
    assert "The message itself says 2, minimal: that is not what its answers come to." in lie
    too_few = await shown(page, "resultCard(result({ answers: [1, 2] }), null)")
    assert "The answers do not fit this questionnaire." in too_few
    unknown = await shown(page, "resultCard(result({ form: 'toString', version: 3 }), null)")
    assert unknown == "toString15: moderately severe"


async def test_nobody_says_by_which_form_their_own_answers_are_counted(page: Page) -> None:
    milder = "{ ...PHQ_9, choices: PHQ_9.choices.map(({ text }) => ({ text, points: 0 })) }"
    given = f"{{ definition: {milder}, due_ms: null }}"
    answer = "questionnaires.resultCardOf(result({ answer_to: midBytes }), false)"
    theirs = f"(questionnaires.formCardOf(mid, {given}, false), {answer})"
    assert "15 of 27" in await shown(page, theirs)
    # The reader's own form is the one that was answered, whatever its points are.
    mine = f"(questionnaires.formCardOf(mid, {given}, true), {answer})"
    assert "0 of 0: minimal" in await shown(page, mine)


async def test_what_is_urgent_stands_open(page: Page) -> None:
    await page.evaluate(LOAD)
    card = "resultCard(result({ answers: [0, 0, 0, 0, 0, 0, 0, 0, 1], total: 1, band: 'minimal' }), null)"
    assert await page.evaluate(f"({card}).querySelector('details').open")
    calm = "resultCard(result(), null)"
    assert not await page.evaluate(f"({calm}).querySelector('details').open")
