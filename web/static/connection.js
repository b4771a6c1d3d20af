/**
 * One lasting connection to a Rapport server: made, kept up, and made again after every loss, without losing
 * or doubling an event.
 *
 *     const connection = new Connection({ url, token, device, handlers: { event: show } });
 *     connection.start();
 *     const session = await connection.request("session.join", { session: id });
 *     const { mid, done } = connection.send(room, bytes);
 *
 * What the events mean is left to the handlers, and what is stored to the storage.
 */

import { Backoff } from "./backoff.js";
import { SUBPROTOCOLS, decode, encode } from "./codec.js";
import { Outbox } from "./outbox.js";
import { Positions } from "./positions.js";
import { ConnectionLost, RequestError, Requests } from "./requests.js";
import { MemoryStorage } from "./storage.js";

export { ConnectionLost, NoReply, RequestError } from "./requests.js";

/** From each state, what may happen and where it leads. */
const TRANSITIONS = {
  idle: { start: "connecting", stop: "closed" },
  connecting: { opened: "greeting", lost: "waiting", refused: "closed", stop: "closed" },
  greeting: { welcomed: "ready", lost: "waiting", refused: "closed", stop: "closed" },
  ready: { lost: "waiting", refused: "closed", stop: "closed" },
  waiting: { due: "connecting", stop: "closed" },
  closed: { start: "connecting", stop: "closed" },
};

/** All in milliseconds. */
export const TIMING = {
  helloMs: 10_000, // from the first attempt to connect until `welcome`
  requestMs: 15_000,
  ackMs: 50, // how long acknowledgements are gathered
  silenceMs: 10_000, // on top of two pings: nothing came for so long, so the connection is gone
  backoffBaseMs: 400,
  backoffCapMs: 15_000,
};

/** Close codes from here on say: do not come back by yourself. */
const FIRST_FINAL_CODE = 4500;

const NO_HANDLERS = {
  state: () => {}, // (state, detail): one of the states above; closed comes with {code, error} of a refusal
  welcome: () => {}, // (frame): connected, for the first time or again; waiting messages go after its promise
  event: () => {}, // (frame): may return a promise; acknowledged after it, in order, each once
  signal: () => {}, // (frame)
  caughtUp: () => {}, // (frame): the room's stored events have all come
  reset: () => {}, // (frame): events between the position kept and `lowest` are gone
  removed: () => {}, // (frame): no longer a member of this room
  keysChanged: () => {}, // (frame): something about the keys of the own account is another than it was
};

export class Connection {
  state = "idle";
  #options;
  #handlers;
  #timing;
  #storage;
  #requests;
  #outbox;
  #positions = null;
  #socket = null;
  #backoff;
  #unsettled = 0; // what the messages wait for on this connection: the app's welcome, `before` a message
  #refusal = null; // the last `error` frame without an id: why the server is about to close
  #comeBack = null; // what `goodbye` asked for
  #acks = new Map();
  #ackTimer = null;
  #reconnectTimer = null;
  #silenceTimer = null;
  #silenceMs = 0;
  #behind = new Map(); // room -> offset at the last ping that showed more than had arrived

  /**
   * `url`: the server's `/v1/connect`, as http(s) or ws(s). `token`: a JWT, or an async function that gives a
   * fresh one for every attempt. `device`: the id of this installation. `handlers`: any of NO_HANDLERS.
   */
  constructor({ url, token, device, handlers = {}, storage = new MemoryStorage(), timing = {} }) {
    this.#options = { url: String(url), token, device };
    this.#handlers = { ...NO_HANDLERS, ...handlers };
    this.#timing = { ...TIMING, ...timing };
    this.#storage = storage;
    this.#requests = new Requests(this.#timing.requestMs);
    const waits = { baseMs: this.#timing.backoffBaseMs, capMs: this.#timing.backoffCapMs };
    this.#backoff = new Backoff(waits);
    this.#outbox = new Outbox(storage, (op, fields) => this.#resend(op, fields), new Backoff(waits));
  }

  /** Connect, and stay connected until `stop`. */
  start() {
    this.#become("start");
    globalThis.addEventListener("online", this.#hasten);
    this.#connect();
  }

  /** Close for good. Messages without an answer stay in the storage. */
  stop() {
    this.#become("stop");
    this.#release(1000);
  }

  /** Send a request; a promise of its result. Rejects with RequestError, ConnectionLost or NoReply. */
  async request(op, fields = {}) {
    if (this.state !== "ready") throw new ConnectionLost("not connected");
    return this.#requests.open(op, fields, (frame) => this.#transmit(frame));
  }

  /**
   * Send a message (`data` is a Uint8Array) that survives lost connections: `{mid, done}`, where `done` is a
   * promise of `{epoch, offset, at_ms}` once it is stored, or of the RequestError that refused it.
   */
  send(room, data, session) {
    return this.#outbox.add(room, data, session);
  }

  /** Messages that wait for the server wait for this promise, too: they need what it brings about. */
  async before(work) {
    const socket = this.#socket;
    this.#unsettled += 1;
    try {
      return await work;
    } finally {
      if (socket === this.#socket) {
        this.#unsettled -= 1;
        this.#outbox.flush();
      }
    }
  }

  /** Tell the members who are connected now; nobody keeps it. */
  signal(room, body) {
    return this.request("signal.send", { room, body });
  }

  // --- One attempt, from socket to welcome ---------------------------------------------------------------

  #connect() {
    this.#refusal = this.#comeBack = null;
    const socket = new WebSocket(this.#options.url.replace(/^http/, "ws"), SUBPROTOCOLS);
    this.#socket = socket;
    this.#unsettled = 0;
    socket.binaryType = "arraybuffer";
    let inbox = Promise.resolve(); // frames are taken in one after the other, though storing may take a while
    const current = () => socket === this.#socket;
    socket.onopen = () => current() && this.#greet(socket);
    socket.onclose = ({ code }) => current() && this.#ended(code);
    socket.onmessage = ({ data }) => {
      if (current()) this.#listenFor(this.#silenceMs);
      inbox = inbox.then(() => current() && this.#take(data)).catch(reportError);
    };
    this.#silenceMs = this.#timing.helloMs;
    this.#listenFor(this.#silenceMs);
  }

  async #greet(socket) {
    this.#become("opened");
    try {
      const { token, device } = this.#options;
      const [jwt, stored] = await Promise.all([typeof token === "function" ? token() : token, this.#load()]);
      if (socket !== this.#socket) return;
      this.#transmit({ op: "hello", token: jwt, device, versions: [1], rooms: stored });
    } catch (error) {
      reportError(error); // the app's token function or storage failed: try again later, as after any loss
      if (socket === this.#socket) this.#lose();
    }
  }

  async #load() {
    if (this.#positions === null) {
      const { positions, outgoing } = await this.#storage.load();
      this.#positions = new Positions(positions);
      this.#outbox.restore(outgoing);
    }
    return this.#positions.toHello();
  }

  #welcomed(frame) {
    this.#become("welcomed");
    this.#backoff.reset();
    this.#behind.clear();
    this.#positions.begin(frame.rooms);
    this.#silenceMs = 2 * frame.limits.ping_ms + this.#timing.silenceMs;
    this.#listenFor(this.#silenceMs);
    this.#resume(frame);
  }

  /** Let the app find its place again, then send what waits: a message may need that place. */
  #resume(frame) {
    // A fault is the app's; what waits is not to wait for ever.
    this.before(this.#tell(frame)).catch(reportError);
  }

  async #tell(frame) {
    await this.#handlers.welcome(frame);
  }

  async #resend(op, fields) {
    if (this.#unsettled > 0) throw new ConnectionLost("messages wait");
    return this.request(op, fields);
  }

  // --- Frames --------------------------------------------------------------------------------------------

  async #take(message) {
    const frame = decode(message, this.#socket.protocol);
    switch (frame.op) {
      case "welcome": return this.#welcomed(frame);
      case "ok": return this.#requests.answer(frame);
      case "error": return frame.id === undefined ? this.#refused(frame) : this.#requests.answer(frame);
      case "event": return this.#event(frame);
      case "signal": return this.#handlers.signal(frame);
      case "caught_up": return this.#handlers.caughtUp(frame);
      case "reset": return this.#reset(frame);
      case "removed": return this.#removed(frame);
      case "keys.changed": return this.#handlers.keysChanged(frame);
      case "ping": return this.#ping(frame);
      case "goodbye": return this.#goodbye(frame);
      default: return undefined; // a newer server may say more than this client knows
    }
  }

  async #event(frame) {
    const place = this.#positions.place(frame);
    if (place === "duplicate") return this.#acknowledge(frame.room);
    if (place === "gap") return this.#lose(); // resuming from the position kept fills it
    try {
      await this.#handlers.event(frame);
    } catch (error) {
      reportError(error); // the app's fault; coming back with the same event would not mend it
    }
    this.#positions.advance(frame);
    await this.#storage.savePosition(frame.room, this.#positions.get(frame.room));
    this.#acknowledge(frame.room);
  }

  async #reset(frame) {
    this.#positions.reset(frame);
    await this.#storage.savePosition(frame.room, this.#positions.get(frame.room));
    this.#handlers.reset(frame);
  }

  async #removed(frame) {
    this.#positions.forget(frame.room);
    this.#acks.delete(frame.room);
    await this.#storage.forgetRoom(frame.room);
    this.#handlers.removed(frame);
  }

  /** A room that is behind at two pings, and did not move between them, has lost its doorbell: resume. */
  #ping({ t_ms, heads = {} }) {
    this.#transmit({ op: "pong", t_ms });
    const offset = (room) => this.#positions.get(room)?.offset ?? 0;
    const offsets = this.#positions.behind(heads).map((room) => [room, offset(room)]);
    const stuck = offsets.some(([room, now]) => this.#behind.get(room) === now);
    this.#behind = new Map(offsets);
    if (stuck) this.#lose();
  }

  #goodbye(frame) {
    this.#comeBack = { afterMs: frame.reconnect_after_ms, to: frame.to };
  }

  #refused(frame) {
    this.#refusal = new RequestError(frame);
  }

  #acknowledge(room) {
    this.#acks.set(room, this.#positions.get(room));
    this.#ackTimer ??= setTimeout(() => {
      this.#ackTimer = null;
      if (this.state !== "ready") return; // taken in after the loss: it will be delivered again
      for (const [name, position] of this.#acks) this.#transmit({ op: "ack", room: name, ...position });
      this.#acks.clear();
    }, this.#timing.ackMs);
  }

  #transmit(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(encode(frame, this.#socket.protocol));
    }
  }

  // --- Loss and return -----------------------------------------------------------------------------------

  #listenFor(milliseconds) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#lose(), milliseconds);
  }

  #ended(code) {
    if (code >= FIRST_FINAL_CODE) {
      this.#become("refused", { code, error: this.#refusal });
      this.#release();
    } else this.#lose(code);
  }

  /** The connection is gone, or of no more use: come back in a while. */
  #lose(code = null) {
    const wait = this.#comeBack?.afterMs ?? this.#backoff.next();
    if (this.#comeBack?.to) this.#options.url = this.#comeBack.to;
    this.#disconnect();
    this.#reconnectTimer = setTimeout(() => this.#return(), wait);
    this.#become("lost", { code, error: this.#refusal });
  }

  #return() {
    this.#become("due");
    this.#connect();
  }

  /** The network is back: do not wait out the back-off. */
  #hasten = () => {
    if (this.state !== "waiting") return;
    clearTimeout(this.#reconnectTimer);
    this.#return();
  };

  #disconnect(code) {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#ackTimer);
    this.#ackTimer = null;
    this.#acks.clear(); // what is delivered again is recognised and acknowledged again
    socket?.close(code);
    this.#requests.abandon();
  }

  #release(code) {
    clearTimeout(this.#reconnectTimer);
    globalThis.removeEventListener("online", this.#hasten);
    this.#disconnect(code);
  }

  #become(what, detail = null) {
    const next = TRANSITIONS[this.state][what];
    if (next === undefined) throw new Error(`${what} cannot happen while ${this.state}`);
    this.state = next;
    this.#handlers.state(next, detail);
  }
}
