/**
 * The media of one participant: one RTCPeerConnection to the server, replaced when it is beyond repair.
 *
 * The client always offers and the server always answers. The server says when to offer again (`reoffer`),
 * and each of its answers says whose tracks it sends where. Sessions, devices and what is shown are left to
 * the caller.
 */

import { Backoff } from "./backoff.js";
import { fingerprint, publishers } from "./sdp.js";

/** All in milliseconds. */
export const TIMING = {
  graceMs: 4000, // how long a path may be interrupted before it is given up
  backoffBaseMs: 500,
  backoffCapMs: 10_000,
};

const CONFIGURATION = { bundlePolicy: "max-bundle" };

const NO_HANDLERS = {
  state: () => {}, // ("connecting" | "connected" | "interrupted" | "closed")
  stream: () => {}, // (account, MediaStream), or null for the stream when nothing more comes from them
  failed: () => {}, // (error): the server refuses the call for good
};

export class Call {
  state = "closed";
  #exchange;
  #relays;
  #handlers;
  #timing;
  #backoff;
  #tracks = { audio: null, video: null };
  #kinds = ["audio", "video"];
  #others = 1;
  #peer = null;
  #discarded = null; // resolves when the peer connection is discarded
  #release = () => {};
  #worker = null; // which life of the media the peer connection belongs to: generation and certificate
  #streams = new Map();
  #negotiating = false;
  #again = false;
  #timer = null;

  /**
   * `exchange(sdp)` sends an offer and gives `{sdp, generation}`; its errors say if they are `temporary`.
   * `relays()` gives the TURN servers for a new peer connection, as `RTCPeerConnection` takes them.
   */
  constructor({ exchange, relays = async () => [], handlers = {}, timing = {} }) {
    this.#exchange = exchange;
    this.#relays = relays;
    this.#handlers = { ...NO_HANDLERS, ...handlers };
    this.#timing = { ...TIMING, ...timing };
    this.#backoff = new Backoff({ baseMs: this.#timing.backoffBaseMs, capMs: this.#timing.backoffCapMs });
  }

  /** Begin, with these kinds of media: `["audio", "video"]`, or `["audio"]`. */
  start(kinds = ["audio", "video"]) {
    this.#kinds = kinds;
    this.#renew();
  }

  /** Send this track from now on, or nothing for null. Nobody has to offer again for it. */
  async send(kind, track) {
    this.#tracks[kind] = track;
    await this.#sender(kind)?.replaceTrack(track);
  }

  /** How many other people may send something; from the next offer on there is room for them. */
  expect(others) {
    this.#others = Math.max(1, others);
  }

  /** Offer again: from a new peer connection if the generation is not the last answer's, or if asked. */
  reoffer({ generation = null, anew = false } = {}) {
    if (this.#peer === null) return;
    const known = this.#worker?.generation ?? generation;
    const replaced = generation !== null && generation !== known;
    const broken = ["failed", "closed"].includes(this.#peer.connectionState);
    if (anew || replaced || broken) this.#renew();
    else this.#negotiate();
  }

  /** Hang up. */
  close() {
    this.#discard();
    for (const account of [...this.#streams.keys()]) this.#forget(account);
    this.#become("closed");
  }

  /** The statistics of the peer connection, as its `getStats` gives them; null when there is none. */
  async stats() {
    return (await this.#peer?.getStats()) ?? null;
  }

  // --- Negotiation -------------------------------------------------------------------------------------

  #renew() {
    this.#discard();
    const peer = new RTCPeerConnection(CONFIGURATION);
    this.#peer = peer;
    this.#discarded = new Promise((resolve) => (this.#release = resolve));
    peer.onconnectionstatechange = () => peer === this.#peer && this.#changed(peer.connectionState);
    for (const kind of this.#kinds) {
      const options = { direction: "sendrecv", streams: [new MediaStream()] };
      peer.addTransceiver(this.#tracks[kind] ?? kind, options);
    }
    this.#become("connecting");
    this.#negotiate();
  }

  /** One exchange at a time; whatever changes meanwhile leads to one more. */
  async #negotiate() {
    this.#again = true;
    if (this.#negotiating) return;
    this.#negotiating = true;
    while (this.#again && this.#peer !== null) {
      this.#again = false;
      const peer = this.#peer;
      // A connection that was replaced meanwhile fails, and nobody needs to know.
      await this.#offer(peer).catch((error) => peer === this.#peer && this.#refused(error));
    }
    this.#negotiating = false;
  }

  async #offer(peer) {
    const discarded = this.#discarded; // what a peer connection is doing when it is closed never ends
    this.#makeRoom(peer);
    if (peer.localDescription === null) {
      const iceServers = await this.#relays();
      if (peer !== this.#peer) return;
      peer.setConfiguration({ ...CONFIGURATION, iceServers }); // before candidates are gathered
    }
    await Promise.race([peer.setLocalDescription(), discarded]);
    if (peer !== this.#peer) return;
    const answer = await this.#exchange(peer.localDescription.sdp);
    if (peer !== this.#peer) return;
    const worker = { generation: answer.generation, certificate: fingerprint(answer.sdp) };
    if (!this.#sameWorker(worker)) {
      this.#renew(); // another worker answered: it knows nothing of the transport this connection has
      return;
    }
    await Promise.race([peer.setRemoteDescription({ type: "answer", sdp: answer.sdp }), discarded]);
    if (peer !== this.#peer) return;
    this.#worker = worker;
    this.#assign(peer, publishers(answer.sdp));
  }

  #sameWorker({ generation, certificate }) {
    const known = this.#worker;
    return known === null || (known.generation === generation && known.certificate === certificate);
  }

  /** Our own sections receive one person; each one more needs sections that only receive. */
  #makeRoom(peer) {
    for (const kind of this.#kinds) {
      const sections = peer.getTransceivers().filter(({ receiver }) => receiver.track.kind === kind);
      for (let i = sections.length; i < this.#others; i++) {
        peer.addTransceiver(kind, { direction: "recvonly" });
      }
    }
  }

  /** Bring every person's stream in line with what the answer says is sent where. */
  #assign(peer, accounts) {
    const tracks = new Map();
    for (const { mid, receiver } of peer.getTransceivers()) {
      const account = accounts.get(mid);
      if (account !== undefined) tracks.set(account, [...(tracks.get(account) ?? []), receiver.track]);
    }
    for (const account of [...this.#streams.keys()]) if (!tracks.has(account)) this.#forget(account);
    for (const [account, current] of tracks) this.#show(account, current);
  }

  #show(account, tracks) {
    const known = this.#streams.get(account);
    const same = known?.getTracks();
    if (same?.length === tracks.length && same.every((track) => tracks.includes(track))) return;
    const stream = new MediaStream(tracks);
    this.#streams.set(account, stream);
    this.#handlers.stream(account, stream);
  }

  #forget(account) {
    this.#streams.delete(account);
    this.#handlers.stream(account, null);
  }

  #refused(error) {
    if (error.temporary) this.#later(() => this.#negotiate(), error.retryAfterMs ?? 0);
    else this.#handlers.failed(error);
  }

  // --- The path ------------------------------------------------------------------------------------------

  #changed(connectionState) {
    clearTimeout(this.#timer);
    if (connectionState === "connected") {
      this.#backoff.reset();
      this.#become("connected");
    } else if (connectionState === "disconnected") {
      this.#become("interrupted");
      this.#timer = setTimeout(() => this.#renew(), this.#timing.graceMs);
    } else if (connectionState === "failed") {
      this.#become("interrupted");
      this.#later(() => this.#renew());
    }
  }

  #later(action, atLeastMs = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, Math.max(atLeastMs, this.#backoff.next())); // `#discard` stops it
  }

  #discard() {
    clearTimeout(this.#timer);
    this.#peer?.close();
    this.#peer = this.#worker = null;
    this.#release();
  }

  #sender(kind) {
    const own = this.#kinds.indexOf(kind);
    return own < 0 ? undefined : this.#peer?.getTransceivers()[own]?.sender;
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#handlers.state(state);
  }
}
