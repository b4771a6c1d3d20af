/**
 * A device on a connection: what it asks for is sent, what the server tells is taken in, and everything is on
 * this device before it is acknowledged.
 *
 *     const store = await Keystore.open(account);
 *     const state = await store.load();
 *     const device = state ? new Device(state, { store }) : await Device.further(account, name, { store });
 *     const client = new Client(device, { url, token, device: name, tell: (outcomes) => show(outcomes) });
 *     client.start();
 *     await client.send(room, { type: "text", text: "Hello" });
 */

import { Backoff } from "../backoff.js";
import { ConnectionLost, Connection, RequestError, TIMING } from "../connection.js";
import { eventOf, frameOf, idsOf, inventoryOf, listsOf, numberOf, pageOf, prekeysOf } from "./frames.js";

const LOOK_AGAIN_MS = 60_000;

export class Client {
  connection;
  #device;
  #tell;
  #begins;
  #holds;
  #failed;
  #underWay = new Set(); // what was sent on this connection and is not answered yet, by its JSON
  #lookAgainMs;
  #looking = null; // the timer of the next look at keys that could not be right
  #backoff = new Backoff({ baseMs: TIMING.backoffBaseMs, capMs: TIMING.backoffCapMs });

  /**
   * Options are those of a Connection, without a storage, which is the device's; and `tell(outcomes)`, called
   * with what a step of the device gave, after it was saved. All other `handlers` are the app's.
   *
   * With `begins`, a device without an account's list makes the first one, as soon as the account is a member
   * of a room; before that it asks for nothing. While `holds(request)`, a request is not sent: call `goOn` when
   * that has changed. `failed(error)` gets what was refused and cannot be mended here. What waits because of
   * someone's keys is looked at again every `lookAgainMs`: they may have been put right since.
   */
  constructor(device, options) {
    const { tell = () => {}, begins = false, holds = () => false, failed = reportError, ...others } = options;
    const { handlers = {}, lookAgainMs = LOOK_AGAIN_MS, ...rest } = others;
    this.#device = device;
    this.#tell = tell;
    this.#begins = begins;
    this.#holds = holds;
    this.#failed = failed;
    this.#lookAgainMs = lookAgainMs;
    const ours = { storage: this.#storage(), handlers: this.#around(handlers) };
    this.connection = new Connection({ ...rest, ...ours });
  }

  /** Connect, and stay connected until `stop`. */
  start() {
    this.connection.start();
  }

  /** Close for good; what waits is kept. */
  stop() {
    clearTimeout(this.#looking);
    this.#looking = null;
    this.connection.stop();
  }

  /** Write a message; a promise of its id once it is saved here. It is sent when that is possible. */
  async send(room, content, options) {
    const mid = await this.#device.send(room, content, Date.now(), options);
    await this.#ask();
    return mid;
  }

  /** Send what is due: what was held may not be any more. */
  goOn() {
    return this.#ask();
  }

  /** Ask for the device lists of a room's members, without anything to be sent to them. */
  async lookUp(room) {
    const before = this.#device.listNumbers();
    const told = listsOf(await this.connection.request("keys.list.get", { room }));
    if (!this.#isOvertaken(told.lists, before)) await this.step("lists", room, told, Date.now());
  }

  /** Take a step of the device, such as `approve`, and ask for what follows from it. */
  async step(method, ...args) {
    this.#tell(await this.#device[method](...args));
    await this.#ask();
  }

  // --- What the server tells ------------------------------------------------------------------------------

  #around(handlers) {
    const before = (name, take) => async (frame) => {
      await take(frame);
      await handlers[name]?.(frame);
    };
    return {
      ...handlers,
      welcome: async (frame) => {
        // What goes wrong with the keys does not keep the app from its place.
        const settled = this.#welcome(frame).catch((error) => this.#unlessLost(error));
        await handlers.welcome?.(frame);
        await settled;
      },
      event: before("event", (frame) => this.#event(frame)),
      caughtUp: before("caughtUp", ({ room, epoch }) => this.step("caughtUp", room, epoch, Date.now())),
      reset: before("reset", ({ room, epoch, lowest }) => this.step("reset", room, epoch, lowest)),
      removed: before("removed", ({ room }) => this.step("removed", room)),
      keysChanged: (frame) => {
        this.#refresh().catch((error) => this.#unlessLost(error)); // not awaited: its replies come after this frame
        handlers.keysChanged?.(frame);
      },
    };
  }

  /** What cannot be saved is not to be acknowledged: then it is over until the app begins again. */
  async #event(frame) {
    try {
      await this.step("event", eventOf(frame), Date.now());
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Positions are the device's own: an event is acknowledged when its step was saved. */
  #storage() {
    const nothing = async () => {};
    return {
      load: async () => ({ positions: this.#device.positions(), outgoing: [] }),
      savePosition: nothing,
      forgetRoom: nothing,
      keep: nothing,
      drop: nothing,
    };
  }

  async #welcome({ keys, rooms }) {
    this.#underWay.clear();
    this.#backoff.reset();
    const isNoMember = this.#begins && rooms.length === 0;
    if (isNoMember) return;
    // Begun together, so that they are taken before the events that follow.
    const steps = [this.#device.welcome(inventoryOf(keys), Date.now())];
    for (const { room, epoch, cursor } of rooms) {
      const isNew = this.#device.cursor(room).log === 0;
      if (isNew && cursor > 0) steps.push(this.#device.reset(room, epoch, cursor + 1));
    }
    for (const step of steps) this.#tell(await step);
    if ((keys.list ?? 0) > 0) await this.#takeOwnList();
    else if (this.#begins) await this.step("begin", Date.now());
    await this.#ask();
  }

  async #refresh() {
    const { keys } = await this.connection.request("keys.inventory");
    this.#tell(await this.#device.inventory(inventoryOf(keys), Date.now()));
    if ((keys.list ?? 0) > 0) await this.#takeOwnList();
    await this.#ask();
  }

  async #takeOwnList() {
    const before = this.#device.listNumbers();
    const { lists } = listsOf(await this.connection.request("keys.list.get"));
    if (this.#isOvertaken(lists, before)) return this.#takeOwnList();
    for (const [, signed] of lists) this.#tell(await this.#device.ownList(signed));
    return undefined;
  }

  /**
   * Whether a list in an answer is older than the one known, and yet was current when it was asked for: a
   * newer one came meanwhile. That is no rollback; it is asked for again.
   */
  #isOvertaken(lists, before) {
    const now = this.#device.listNumbers();
    return lists.some(([account, signed]) => {
      const number = numberOf(signed);
      return number < (now.get(account) ?? 0) && number >= (before.get(account) ?? 0);
    });
  }

  // --- What the device asks -------------------------------------------------------------------------------

  /** Send what is due and not under way. */
  async #ask() {
    if (this.connection.state !== "ready") return;
    for (const request of await this.#device.requests()) {
      const name = nameOf(request);
      if (this.#underWay.has(name) || this.#holds(request)) continue;
      this.#underWay.add(name);
      this.#perform(request, name).catch(this.#failed);
    }
    if (this.#device.halted.length === 0) return;
    const look = () => this.#lookAgain().catch((error) => this.#unlessLost(error));
    this.#looking ??= setTimeout(look, this.#lookAgainMs);
  }

  async #lookAgain() {
    this.#looking = null;
    if (this.connection.state !== "ready") return; // the next welcome begins with a look
    for (const room of this.#device.halted) await this.lookUp(room);
  }

  async #perform(request, name) {
    const before = this.#device.listNumbers();
    try {
      const result = await this.connection.request(...frameOf(request));
      await this.#answered(request, result ?? {}, before);
      this.#backoff.reset();
    } catch (error) {
      if (error instanceof ConnectionLost) return; // after the next welcome it is due again
      if (!error.temporary) await this.#refused(request, error, before);
      else await passed(Math.max(error.retryAfterMs ?? 0, this.#backoff.next()));
    }
    this.#underWay.delete(name);
    await this.#ask();
  }

  async #answered(request, result, before) {
    const now = Date.now();
    const { room } = request;
    switch (request.ask) {
      case "listing": return this.#told(this.#device.listingRequested());
      case "prekeys": return this.#told(this.#device.prekeysStored(idsOf(request)));
      case "list": return this.#told(this.#device.listStored(numberOf(request.list)));
      case "lists": {
        const told = listsOf(result);
        if (this.#isOvertaken(told.lists, before)) return undefined; // it is still due
        return this.#told(this.#device.lists(room, told, now));
      }
      case "claim": return this.#told(this.#device.claimed(room, request.claim, prekeysOf(result), now));
      case "recall": return this.#told(this.#device.recalled(room, request.after, pageOf(result)));
      default: {
        const place = { log: result.epoch, offset: result.offset };
        return this.#told(this.#device.stored(room, request.mid, place, now));
      }
    }
  }

  async #refused(request, error, before) {
    if (!(error instanceof RequestError)) throw error;
    if (request.ask === "keys" || request.ask === "message") {
      const told = error.mismatch === null ? null : listsOf(error.mismatch);
      const overtaken = told !== null && this.#isOvertaken(told.lists, before);
      const again = overtaken || error.kind === "epoch_unknown";
      const refusal = { error: error.kind, again, lists: overtaken ? null : told };
      return this.#told(this.#device.refused(request.room, request.mid, refusal, Date.now()));
    }
    if (request.ask !== "list") throw error;
    if (error.kind === "list_outdated") return this.#takeOwnList();
    await this.#told(this.#device.listRefused());
    return this.#failed(error);
  }

  async #told(step) {
    this.#tell(await step);
  }

  /** The next welcome brings it all up to date. */
  #unlessLost(error) {
    if (!(error instanceof ConnectionLost)) this.#failed(error);
  }
}

/** What a request is known by while it is under way. */
function nameOf({ ask, room = "" }) {
  return JSON.stringify([ask, room]);
}

function passed(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
