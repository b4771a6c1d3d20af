"""The browser's call against a far end that is scripted in the same page, over real WebRTC."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: `far` plays the server. It answers every offer with the tracks of one person called `far.who`,
# keeps one far peer connection for each of the near ones, and remembers what it was offered.
HARNESS = """
globalThis.begin = async ({ kinds = ["audio", "video"], timing = {}, relays } = {}) => {
  const { Call } = await import("/app/call.js");
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const context = canvas.getContext("2d");
  const paint = () => {
    context.fillStyle = `hsl(${performance.now() % 360} 50% 50%)`;
    context.fillRect(0, 0, 64, 48);
  };
  setInterval(paint, 40);
  const audio = new AudioContext();
  const tone = new OscillatorNode(audio);
  const sound = audio.createMediaStreamDestination();
  tone.connect(sound);
  tone.start();
  const tracks = { video: canvas.captureStream(25).getTracks()[0], audio: sound.stream.getTracks()[0] };

  globalThis.far = { who: "bob", generation: 1, offers: [], peers: new Map(), fail: [], open: 0, busiest: 0 };
  const gathered = (peer) => new Promise((resolve) => {
    const look = () => peer.iceGatheringState === "complete" && resolve();
    peer.onicegatheringstatechange = look;
    look();
  });
  const answer = async (sdp) => {
    const origin = /^o=- (\\S+)/m.exec(sdp)[1];
    const peer = far.peers.get(origin) ?? new RTCPeerConnection();
    far.peers.set(origin, peer);
    await peer.setRemoteDescription({ type: "offer", sdp });
    for (const transceiver of peer.getTransceivers()) {
      const { track } = transceiver.receiver;
      transceiver.direction = far.who === null ? "recvonly" : "sendrecv";
      await transceiver.sender.replaceTrack(far.who === null ? null : tracks[track.kind]);
    }
    await peer.setLocalDescription();
    await gathered(peer);
    return peer.localDescription.sdp.replace(/^a=msid:\\S+/gm, `a=msid:${far.who}`);
  };
  const exchange = async (sdp) => {
    far.offers.push(sdp);
    far.busiest = Math.max(far.busiest, ++far.open);
    try {
      if (far.fail.length > 0) throw far.fail.shift();
      return { sdp: await answer(sdp), generation: far.generation };
    } finally {
      far.open -= 1;
    }
  };
  globalThis.log = { states: [], streams: [], failed: [] };
  globalThis.call = new Call({
    exchange,
    relays,
    timing: { graceMs: 50, backoffBaseMs: 1, backoffCapMs: 5, ...timing },
    handlers: {
      state: (state) => log.states.push(state),
      stream: (account, stream) => log.streams.push([account, stream && stream.getTracks().length]),
      failed: (error) => log.failed.push(error.message),
    },
  });
  globalThis.tracks = tracks;
  globalThis.near = () => new Set(far.offers.map((sdp) => /^o=- (\\S+)/m.exec(sdp)[1])).size;
  globalThis.received = async (kind) => {
    for (const entry of (await call.stats()).values()) {
      if (entry.type === "inbound-rtp" && entry.kind === kind) return entry.packetsReceived;
    }
    return 0;
  };
  await call.send("video", tracks.video);
  call.start(kinds);
};
globalThis.problem = (message, temporary) => Object.assign(new Error(message), { temporary });
"""


@pytest_asyncio.fixture(loop_scope="package")
async def call(page: Page) -> Page:
    await page.evaluate(HARNESS)
    return page


async def test_the_other_person_is_known_by_their_account(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    await call.until("(async () => await received('audio') > 5 && await received('video') > 5)()")
    assert await call.evaluate("log.streams") == [["bob", 2]]
    assert await call.evaluate("log.states") == ["connecting", "connected"]


async def test_an_audio_call_offers_no_picture(call: Page) -> None:
    await call.evaluate("begin({ kinds: ['audio'] })")
    await call.until("call.state === 'connected'")
    assert await call.evaluate("far.offers[0].match(/^m=\\S+/gm)") == ["m=audio"]


async def test_a_new_roster_is_negotiated_on_the_same_connection(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    await call.evaluate("far.who = null; call.reoffer({ generation: 1 })")
    await call.until("log.streams.length === 2")
    assert await call.evaluate("log.streams[1]") == ["bob", None]
    await call.evaluate("far.who = 'eve'; call.reoffer({ generation: 1 })")
    await call.until("log.streams.length === 3")
    assert await call.evaluate("log.streams[2]") == ["eve", 2]
    assert await call.evaluate("near()") == 1


async def test_more_people_get_sections_of_their_own(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    await call.evaluate("call.expect(3); call.reoffer()")
    await call.until("far.offers.length === 2")
    assert (
        await call.evaluate("far.offers[1].match(/^m=\\S+/gm).toSorted()")
        == ["m=audio"] * 3 + ["m=video"] * 3
    )
    assert await call.evaluate("far.offers[1].match(/^a=recvonly/gm).length") == 4


async def test_another_generation_is_met_with_a_new_connection(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    await call.evaluate("far.generation = 2; call.reoffer({ generation: 2 })")
    await call.until("near() === 2 && call.state === 'connected'")
    await call.until("(async () => await received('video') > 5)()")
    assert await call.evaluate("log.states") == ["connecting", "connected", "connecting", "connected"]


async def test_a_worker_that_was_replaced_unnoticed_is_noticed_by_its_answer(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    # The far ends are forgotten and the generation has counted up to the same number again.
    await call.evaluate("far.peers.forEach((peer) => peer.close()); far.peers.clear(); call.reoffer()")
    await call.until("near() >= 2 && call.state === 'connected'")
    await call.until("(async () => await received('video') > 5)()")


async def test_a_far_end_that_goes_away_is_replaced(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    await call.evaluate("far.peers.forEach((peer) => peer.close()); far.peers.clear()")
    await call.until("near() >= 2 && call.state === 'connected'", seconds=30)


async def test_one_exchange_at_a_time_and_none_forgotten(call: Page) -> None:
    await call.evaluate("begin()")
    await call.evaluate("for (let i = 0; i < 5; i++) call.reoffer()")
    await call.until("call.state === 'connected'")
    await call.until("far.offers.length === 2")
    assert await call.evaluate("far.busiest") == 1


async def test_what_is_refused_for_the_moment_is_offered_again(call: Page) -> None:
    await call.evaluate("globalThis.started = begin(); 0")
    await call.evaluate("started")
    await call.until("call.state === 'connected'")
    await call.evaluate("far.fail = [problem('later', true), problem('later', true)]; call.reoffer()")
    await call.until("far.offers.length >= 4")
    assert await call.evaluate("log.failed") == []


async def test_what_is_refused_for_good_is_told(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    await call.evaluate("far.fail = [problem('never', false)]; call.reoffer()")
    await call.until("log.failed.length > 0")
    assert await call.evaluate("log.failed") == ["never"]


async def test_a_camera_comes_and_goes_without_another_offer(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("call.state === 'connected'")
    sent = """(async () => {
        for (const entry of (await call.stats()).values()) {
            if (entry.type === "outbound-rtp" && entry.kind === "video") return entry.framesSent;
        }
    })()"""
    await call.until(f"(async () => await {sent} > 2)()")
    await call.evaluate("call.send('video', null)")
    still = await call.evaluate(sent)
    await call.evaluate("call.send('video', tracks.video)")
    await call.until(f"(async () => await {sent} > {still} + 2)()")
    assert await call.evaluate("far.offers.length") == 1


async def test_hanging_up_clears_the_stage(call: Page) -> None:
    await call.evaluate("begin()")
    await call.until("log.streams.length === 1")
    await call.evaluate("call.close()")
    assert await call.evaluate("[log.streams.at(-1), log.states.at(-1)]") == [["bob", None], "closed"]
    await call.evaluate("call.reoffer({ generation: 9 })")
    assert await call.evaluate("far.offers.length") == 1


async def test_what_is_read_from_an_answer(page: Page) -> None:
    lines = (
        "v=0", "a=fingerprint:sha-256 AB:CD",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=msid:ann t0", "a=sendrecv",
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=msid:ann t1", "a=recvonly",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:2", "a=msid:bob t2", "a=sendonly",
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:3", "a=inactive", "",
    )  # fmt: skip
    sdp = "\\r\\n".join(lines)
    read = await page.evaluate(
        f"""(async () => {{
            const {{ publishers, fingerprint }} = await import("/app/sdp.js");
            return [[...publishers("{sdp}")], fingerprint("{sdp}"), fingerprint("v=0")];
        }})()"""
    )
    assert read == [[["0", "ann"], ["2", "bob"]], "sha-256 AB:CD", None]


async def test_turn_servers_are_known_before_anything_is_offered(call: Page) -> None:
    turn = "{ urls: ['turn:turn.invalid'], username: 'u', credential: 'c' }"
    await call.evaluate(
        "globalThis.made = []; globalThis.RTCPeerConnection = class extends RTCPeerConnection {"
        "  constructor(...options) { super(...options); made.push(this); } };"
        "globalThis.asked = 0;"
        f"begin({{ relays: async () => (asked += 1, [{turn}]) }})"
    )
    await call.until("call.state === 'connected'")
    assert await call.evaluate("made[0].getConfiguration().iceServers[0].urls") == ["turn:turn.invalid"]
    await call.evaluate("call.reoffer()")
    await call.until("far.offers.length === 2")
    assert await call.evaluate("asked") == 1


async def test_an_offer_waits_for_turn_servers_that_cannot_be_told_yet(call: Page) -> None:
    await call.evaluate(
        "globalThis.times = 0; begin({ relays: async () => {"
        "  if (times++ === 0) throw problem('not yet', true); return []; } })"
    )
    await call.until("call.state === 'connected'")
    assert await call.evaluate("times") == 2


async def test_a_call_goes_on_when_it_begins_anew_in_the_middle_of_an_offer(call: Page) -> None:
    await call.evaluate(
        "globalThis.RTCPeerConnection = class extends RTCPeerConnection {"
        "  setLocalDescription(...given) {"
        "    const done = super.setLocalDescription(...given); globalThis.begun?.(); return done; } };"
        "globalThis.begun = () => { begun = null; call.reoffer({ anew: true }); };"
        "begin()"
    )
    await call.until("call.state === 'connected'")
    assert await call.evaluate("far.busiest") == 1
