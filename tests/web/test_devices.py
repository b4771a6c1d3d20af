"""Camera and microphone, while the browser asks the person and things change meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: every question waits for `answer()`; `tracks` are those that the browser gave out.
HARNESS = """
globalThis.begin = async () => {
  const { Devices } = await import("/app/devices.js");
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  globalThis.questions = [];
  globalThis.tracks = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((resolve) => questions.push(resolve));
    const stream = await real(wanted);
    tracks.push(...stream.getTracks());
    return stream;
  };
  globalThis.devices = new Devices(() => {});
};
globalThis.asked = async () => {
  while (questions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
};
globalThis.answer = async () => {
  await asked();
  questions.shift()();
};
globalThis.live = () =>
  tracks.filter((track) => track.readyState === "live").map((track) => track.kind).sort();
"""


async def run(page: Page, script: str) -> Any:
    await page.evaluate(HARNESS)
    await page.evaluate("begin()")
    return await page.evaluate(f"(async () => {{ {script} return live(); }})()")


async def test_what_is_opened_is_kept(page: Page) -> None:
    script = "const opened = devices.open(['audio', 'video']); await answer(); await opened;"
    assert await run(page, script) == ["audio", "video"]


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        ("devices.keep(['audio'])", ["audio"]),
        ("devices.set('video', false)", ["audio"]),
        ("devices.close()", []),
    ],
)
async def test_what_is_not_wanted_any_more_is_let_go_of_as_soon_as_it_comes(
    page: Page, meanwhile: str, left: list[str]
) -> None:
    script = f"""const opened = devices.open(['audio', 'video']);
        await asked();
        await {meanwhile};
        await answer();
        await opened;"""
    assert await run(page, script) == left


async def test_nobody_is_asked_twice_for_the_same(page: Page) -> None:
    script = """const both = [devices.open(['audio']), devices.open(['audio', 'video'])];
        await answer();
        await answer();
        await Promise.all(both);"""
    assert await run(page, script) == ["audio", "video"]
    assert await page.evaluate("tracks.length") == 2
