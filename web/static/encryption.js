/**
 * The end-to-end encryption of the page's messages: this browser's device, what it has opened, and what people
 * have to be asked about keys.
 *
 * A page has one connection, and a device one page at a time: the one opened last takes the device over.
 */

import { Blobs } from "./blobs.js";
import * as words from "./confidence.js";
import { toHex } from "./e2ee/bytes.js";
import { Client } from "./e2ee/client.js";
import { Device } from "./e2ee/device.js";
import { Keystore } from "./e2ee/keystore.js";
import { isSupported } from "./e2ee/support.js";
import { accountOf } from "./lease.js";
import { isNotes } from "./notes.js";
import { askAboutEncryption, showQuestion, showStanding } from "./panels.js";
import { Readings } from "./readings.js";
import { uuid7, uuidFromBytes, uuidToBytes } from "./uuid.js";

/** How long a page keeps what was read, should it be closed before the session is over. */
const KEEP_MS = 24 * 3600 * 1000;

export class Encryption {
  #visit;
  #page;
  #client = null; // null where this browser cannot encrypt
  #device = null;
  #readings = null;
  #supported = true;
  /** Where the ciphertext of files goes and comes from; null where messages are not encrypted. */
  blobs = null;
  #pending = []; // devices of the account that ask to be let in
  #later = new Set(); // accounts about which the person does not want to decide now
  #subject = null; // whom the person is asked about, as a text
  #question = null;

  /** By `data-action`: what the buttons do. */
  actions = {
    encryption: () => this.#explain(),
    "key-accept": () => this.#question?.onAccept(),
    "key-decline": () => this.#question?.onDecline(),
  };

  /**
   * `page` has `conversation`, `noted(outcome)` for what was read of a room of notes, `name(account)`, `takenOver()` for when another page has the device now,
   * `complain(words)`, `run(promise)` and `failed(error)`.
   */
  constructor(visit, page) {
    this.#visit = visit;
    this.#page = page;
  }

  /** "starting", "on", "new" for a device that is not let in yet, or "off" where this browser cannot encrypt. */
  get standing() {
    if (!this.#supported) return "off";
    if (this.#device === null) return "starting";
    if (this.#device.isListed) return "on";
    return this.#device.hasList ? "new" : "starting";
  }

  /** A Client for these options of a Connection; null where messages cannot be encrypted. */
  async begin(options) {
    const account = accountOf(options.token());
    this.#supported = account !== null && (await isSupported());
    try {
      this.#client = this.#supported ? await this.#open(account, options) : null;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#supported = false; // this browser does not let its pages keep anything
      this.#client = this.#device = this.#readings = this.blobs = null;
    }
    this.#render();
    return this.#client;
  }

  async #open(account, options) {
    const store = await Keystore.open(account);
    let isHere = true;
    await store.takeOver(() => {
      if (isHere) this.#page.takenOver();
      isHere = false;
    });
    await store.forgetBefore(Date.now() - KEEP_MS, isNotes);
    const state = await store.load();
    const named = `web-${crypto.randomUUID()}`;
    this.#device = state ? new Device(state, { store }) : await Device.further(account, named, { store });
    this.#readings = new Readings(store);
    const url = new URL("../v1/", import.meta.url);
    this.blobs = new Blobs({ url, token: options.token, device: this.#device.name });
    const { handlers } = options;
    return new Client(this.#device, {
      ...options,
      device: this.#device.name,
      begins: true,
      holds: (request) => "room" in request && !this.#visit.isInside,
      tell: (outcomes) => this.#told(outcomes),
      failed: (error) => this.#page.failed(error),
      handlers: {
        ...handlers,
        welcome: (frame) => {
          if ((frame.keys?.pending ?? 0) > 0) this.#page.run(this.#lookForNewcomers());
          return handlers.welcome(frame);
        },
        keysChanged: () => this.#page.run(this.#lookForNewcomers()),
      },
    });
  }

  // --- Messages ------------------------------------------------------------------------------------------

  /**
   * Seal and send a content to the room: `{mid, done}`, where `done` is a promise that it is kept here, and is sent
   * as soon as that is possible; null where messages are not encrypted.
   */
  send(room, content, session, { mid = uuid7(), urgent = false } = {}) {
    if (this.#client === null) return null;
    const done = this.#client.send(room, content, { mid: uuidToBytes(mid), session, urgent });
    return { mid, done: done.then(() => null) };
  }

  /** The person is in the session: what they wrote may go. */
  goOn() {
    this.#page.run(this.#client?.goOn());
  }

  /** Someone has come: perhaps whoever had no keys has some now. */
  async lookAround() {
    const { room } = this.#visit.session;
    if (this.#device?.unreached(room).length > 0) await this.#client.lookUp(room);
  }

  /** What there is to read of a message event: see `Readings`. */
  read(event, options) {
    if (this.#readings !== null) return this.#readings.of(event, options);
    return Readings.withoutKeys(event);
  }

  /**
   * Take what was read here before out of the keystore: the offset up to which that is. The device knows it better
   * than the server with its `cursor`, which an acknowledgement may not have reached.
   */
  async recall(room, cursor) {
    if (this.#readings === null) return cursor;
    const { log, offset } = this.#device.cursor(room);
    for (const outcome of await this.#readings.recall(room)) this.#note(outcome, room);
    return log === 0 ? cursor : offset;
  }

  /** The room of the person's private notes about the session's room, and all that was read of it here. */
  async openNotes() {
    const { room } = await this.#client.connection.request("notes.open", { room: this.#visit.session.room });
    return { room, outcomes: await this.#readings.all(room) };
  }

  /** The session is over: what was written in it does not stay on this device. */
  async forget() {
    await this.#readings?.forget(this.#visit.session.room, this.#visit.id);
  }

  // --- What the device tells -----------------------------------------------------------------------------

  #told(outcomes) {
    for (const outcome of outcomes) this.#take(outcome);
    this.#render();
  }

  #take(outcome) {
    const { conversation } = this.#page;
    switch (outcome.what) {
      case "opened":
      case "set_aside": return isNotes(outcome.room) ? this.#page.noted(outcome) : this.#keep(outcome);
      case "missing":
      case "archived": return this.#note(outcome);
      case "lost": return this.#page.run(this.#sendAgain(outcome));
      case "not_sent": return conversation.notSent(uuidFromBytes(outcome.mid), { kind: outcome.error });
      case "suspicion": return this.#suspect(outcome);
      default: return undefined; // that this device is not listed is shown as its standing
    }
  }

  #keep(outcome) {
    const unread = this.#readings.keep(outcome);
    if (unread !== null) this.#page.conversation.reveal(unread, outcome, Readings.ofOpened(outcome));
  }

  /** Something about the messages themselves, shown among them; before the room is known it waits for `recall`. */
  #note(outcome, room = this.#visit.session?.room) {
    if (outcome.room !== room) return;
    const { what, count, archive } = outcome;
    const text = what === "missing" ? words.missingWords(count) : words.archivedWords(archive);
    this.#page.conversation.note(outcome, text);
  }

  #suspect({ account, error }) {
    this.#later.delete(account);
    const isAsked = error === "identity_changed" && this.#device.suspects.some(([one]) => one === account);
    if (!isAsked) this.#page.complain(words.suspicionWords(this.#page.name(account), error));
  }

  async #sendAgain({ room, mid }) {
    const opened = await this.#readings.sent(room, mid);
    if (opened !== null) await this.#client.send(room, opened.content, { mid, session: opened.session });
  }

  // --- What people decide --------------------------------------------------------------------------------

  async #lookForNewcomers() {
    const { devices } = await this.#client.connection.request("device.list");
    this.#pending = devices.filter(({ state, device }) => state === "pending" && device !== this.#device.name);
    this.#render();
  }

  /** Show how it stands, and ask what there is to be asked: one thing after the other. */
  #render() {
    const unreached = this.#device?.unreached(this.#visit.session?.room) ?? [];
    showStanding(this.standing, words.standingWords(this.standing, unreached.map(this.#page.name)));
    const suspect = this.#device?.suspects.find(([account]) => !this.#later.has(account));
    const mayLetIn = this.standing === "on" && this.#device.holdsAccountKey;
    const newcomer = mayLetIn ? this.#pending[0] : undefined;
    const subject = suspect === undefined ? (newcomer?.device ?? null) : `keys ${toHex(suspect[1])}`;
    if (subject === this.#subject) return;
    this.#subject = subject;
    if (subject === null) this.#put(subject, null);
    else this.#page.run(suspect === undefined ? this.#askAboutNewcomer(newcomer) : this.#askAboutKeys(...suspect));
  }

  async #askAboutKeys(account, key) {
    const subject = this.#subject;
    const number = await this.#device.safetyNumber(account);
    this.#put(subject, {
      ...words.changedKeyWords(this.#page.name(account), number),
      onAccept: () => this.#client.step("trust", account, key),
      onDecline: () => this.#putOff(account),
    });
  }

  async #askAboutNewcomer({ device, key }) {
    const subject = this.#subject;
    const code = await this.#device.codeOf(key);
    this.#put(subject, {
      ...words.newcomerWords(code),
      onAccept: () => this.#decide(device, () => this.#client.step("approve", device, key, Date.now())),
      onDecline: () =>
        this.#decide(device, () => this.#client.connection.request("device.dismiss", { device })),
    });
  }

  /** Ask, unless there is another thing to be asked by now. */
  #put(subject, question) {
    if (subject !== this.#subject) return;
    this.#question = question;
    showQuestion(question);
  }

  async #decide(device, carryOut) {
    await carryOut();
    this.#pending = this.#pending.filter((one) => one.device !== device);
    this.#render();
  }

  #putOff(account) {
    this.#later.add(account);
    this.#render();
  }

  /** How it stands, and the numbers by which people make sure of each other. */
  async #explain() {
    const code = (await this.#device?.code()) ?? null;
    const { people, session } = this.#visit;
    if (this.standing === "on") await this.#client.lookUp(session.room);
    const numberOf = async (account) => words.numberWords(await this.#device.safetyNumber(account));
    const others = this.standing === "on" ? people.members() : [];
    const numbers = await Promise.all(others.map(async (one) => [this.#page.name(one), await numberOf(one)]));
    await askAboutEncryption(words.explanationWords(this.standing, code), numbers);
  }
}
