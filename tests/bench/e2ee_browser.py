"""What end-to-end encryption costs a browser: a message sealed and a message opened, in headless Chromium.

WebCrypto works in a process and threads of its own and is asked for one step after the other, so what counts
is the time until a message is done. The limit of sealing is one Ed25519 signature, that of opening one
verification.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.bench import Measurement
from tests.chromium import Chromium
from tests.web.scripted import ScriptedServer

ROUNDS = 5

# In the page: medians of rounds of a hundred, an epoch each, in microseconds.
BENCH = """
(async () => {
  const names = ["message", "ratchet", "signing", "content"];
  const load = (name) => import(`/app/e2ee/${name}.js`);
  const [message, ratchet, signing, content] = await Promise.all(names.map(load));
  const key = await signing.generate();
  const { chain } = await ratchet.start(new Uint8Array(8), new Uint8Array(32));
  const body = content.encodeContent({ type: "text", text: "x".repeat(190) });
  const mid = new Uint8Array(16);
  const about = { room: "room-1", account: "ada", device: "laptop", mid, session: null };
  const arrival = { ...about, place: { log: 1, offset: 9 } };

  const forwards = async (work) => {
    for (let i = 0, here = chain; i < ratchet.MAX_MESSAGES; i++) {
      await work(i, here);
      here = await ratchet.forward(here, i + 1);
    }
  };
  const timed = async (work, times = []) => {
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now();
      await work();
      times.push(((performance.now() - began) / ratchet.MAX_MESSAGES) * 1000);
    }
    return times.sort((one, other) => one - other)[ROUNDS >> 1];
  };

  const sealed = [];
  const seal = async (index, here) => {
    const previous = index === 0 ? null : index - 1;
    const header = { ...about, epoch: new Uint8Array(16), index, previous, after: { log: 1, offset: 5 } };
    sealed[index] = await message.seal(header, here, body, key.privateKey);
  };
  const open = async (index, here) => {
    const { envelope, header } = message.read(sealed[index]);
    await message.check(envelope, header, arrival, key.publicKey);
    message.checkOrder(header, index);
    await message.decrypt(envelope, here);
  };
  const signed = new Uint8Array(400);
  const signature = await signing.sign(key.privateKey, "message", signed);
  const repeat = async (work) => {
    for (let i = 0; i < ratchet.MAX_MESSAGES; i++) await work();
  };
  return {
    seal: await timed(() => forwards(seal)),
    open: await timed(() => forwards(open)),
    sign: await timed(() => repeat(() => signing.sign(key.privateKey, "message", signed))),
    verify: await timed(() => repeat(() => signing.verify(key.publicKey, "message", signed, signature))),
  };
})()
""".replace("ROUNDS", json.dumps(ROUNDS))


def measure() -> dict[str, Measurement]:
    """Microseconds until a message is done, each the median of some rounds."""
    took = asyncio.run(in_chromium())
    return {
        "e2ee.seal_browser": Measurement(took["seal"], "us", took["sign"]),
        "e2ee.open_browser": Measurement(took["open"], "us", took["verify"]),
    }


async def in_chromium() -> dict[str, Any]:
    async with ScriptedServer() as server, Chromium() as browser:
        page = await browser.page(f"{server.url}/blank")
        took: dict[str, Any] = await page.evaluate(BENCH)
        return took
