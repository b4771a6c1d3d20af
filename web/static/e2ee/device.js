/**
 * A whole client of end-to-end encryption without a connection: what the server tells goes in, and what is to
 * be asked, saved and shown comes out.
 *
 * Every step is taken by itself, one after the other, and saved before its promise settles, together with its
 * outcomes; only then may the app acknowledge the event, or send what `requests` names. What is due follows
 * from what was saved alone: after a crash at any point, what was in flight is sent again byte for byte, and
 * what was shown is not shown twice.
 *
 * An outcome is `{what, ...}`:
 * - `opened`: a message to be shown, each once (`room`, `place`, `account`, `device`, `mid`, `session`,
 *   `content`)
 * - `set_aside`: an event that cannot be shown (`error` is a kind; no defect when it is `before_this_device`)
 * - `archived`: what follows of a device is sealed to another `archive` of an organisation (SHA-256 of its
 *   public key, or null) than this app knows of
 * - `missing`: `count` messages of a device were left out; null when whole epochs are
 * - `suspicion`: keys of an `account` that cannot be right; people decide on the `error` `identity_changed`
 * - `lost`: a message sent is gone after a restore; send it again under its `mid`
 * - `not_sent`: a message was refused for good
 * - `unlisted`: this device is not in its account's list
 */

import * as account from "./account.js";
import { random, same } from "./bytes.js";
import * as circle from "./circle.js";
import { encodeContent } from "./content.js";
import { ARCHIVE } from "./epoch.js";
import { E2eeError, require } from "./errors.js";
import { safetyNumber, verificationCode } from "./identity.js";
import * as ratchet from "./ratchet.js";
import * as recalling from "./recalling.js";
import * as receiving from "./receiving.js";
import * as sending from "./sending.js";
import * as signing from "./signing.js";
import { address, includes, newRoom, newState, roomPart } from "./state.js";
import * as stock from "./stock.js";
import { xwing } from "./xwing.js";

/** How many messages may wait in one room; full: `outbox_full`, and nothing is taken. */
const OUTBOX = 1000;
const MAX_CONTENT_BYTES = 90 * 1024;

/** In place of the names of the parts that a step changed. */
const EVERYTHING = null;

/** A place for a state that forgets it with the page; see `keystore.js` for one that does not. */
export const forgetful = { save: async () => {} };

export class Device {
  #state;
  #options;
  #last = Promise.resolve(); // the step under way, after which the next one may begin

  /**
   * `state` as `load` of a keystore gave it. Options: `store`, such as a keystore, with
   * `save(state, outcomes, changed)`; `kem` where WebCrypto has no ML-KEM; how many `prekeys` to keep with
   * the server.
   *
   * When a step fails with anything but an E2eeError, as when it cannot be saved, load the device anew.
   */
  constructor(state, { store = forgetful, kem = xwing, prekeys = stock.TARGET } = {}) {
    this.#state = state;
    this.#options = { store, kem, prekeys };
  }

  /**
   * The first device of an account, which makes the account's key: `{device, secrets}`. The secrets are for
   * the vault and for nothing else: the device itself holds keys that no script can read.
   */
  static async first(owner, name, nowMs, options) {
    const secrets = { accountSeed: random(signing.SEED_BYTES), archiveSeed: null };
    const state = newState(owner, name, await signing.generate());
    state.accountKey = await signing.fromSeed(secrets.accountSeed);
    await account.found(state, nowMs);
    const device = new Device(state, options);
    await device.#step(() => [], EVERYTHING);
    return { device, secrets };
  }

  /** Another device of an account, which one that holds the account's key has to let in. */
  static async further(owner, name, options) {
    const device = new Device(newState(owner, name, await signing.generate()), options);
    await device.#step(() => [], EVERYTHING);
    return device;
  }

  /** This device's public key, 32 bytes. */
  get key() {
    return this.#state.key.publicKey;
  }

  /** What the person compares on both devices before this one is let in, once the account has a list. */
  code() {
    return this.codeOf(this.key);
  }

  // --- The account's devices ------------------------------------------------------------------------------

  /** Let a device in whose verification code the person has compared. */
  approve(device, key, nowMs) {
    return this.#step((state) => account.approve(state, device, key, nowMs));
  }

  /** Take a device out of the list: nothing that is written from then on is sealed to it. */
  revoke(device, nowMs) {
    return this.#step((state) => account.revoke(state, device, nowMs));
  }

  /** From now on seal to the archive of this public key, too, or to none. */
  keepArchive(publicKey, nowMs) {
    return this.#step((state) => account.keepArchive(state, publicKey, nowMs));
  }

  /** Make the account's key, as an unreadable one, and its first list; nothing where there is a list. */
  begin(nowMs) {
    return this.#step((state) => account.begin(state, nowMs));
  }

  /** The id of this device. */
  get name() {
    return this.#state.device;
  }

  /** Whether this device is in its account's list: before, nothing is sealed to it or by it. */
  get isListed() {
    return account.isListed(this.#state);
  }

  /** Whether the account is known to have a list. */
  get hasList() {
    return circle.latest(this.#state, this.#state.account) !== null;
  }

  /** Whether this device can let others in, and put them out. */
  get holdsAccountKey() {
    return this.#state.accountKey !== null;
  }

  /** The code of another device, given its key, as `code` on that one; null before the account has a list. */
  async codeOf(key) {
    const own = circle.latest(this.#state, this.#state.account);
    return own === null ? null : verificationCode(own.accountKey, key);
  }

  /** `[account, key]` of those that have shown another key than the one pinned, until a person has decided. */
  get suspects() {
    return [...this.#state.suspects].map(([account, { accountKey }]) => [account, accountKey]);
  }

  /** Rooms in which something waits because of keys that cannot be right, and that no person decides about. */
  get halted() {
    const waits = ({ drafts, left, halted }) => drafts.length > 0 && !left && halted !== "";
    const rooms = [...this.#state.rooms].filter(([, room]) => waits(room));
    return rooms.filter(([, { halted }]) => halted !== "identity_changed").map(([name]) => name);
  }

  /** Members of a room who had no device list when the lists were asked for: nothing is sealed to them. */
  unreached(name) {
    const lists = [...(this.#state.rooms.get(name)?.lists ?? [])];
    return lists.filter(([, { number }]) => number === 0).map(([account]) => account);
  }

  /** What the person and that of another account compare, under its new key if it is a suspect; or null. */
  async safetyNumber(other) {
    const state = this.#state;
    const [mine, theirs] = [circle.latest(state, state.account), circle.latest(state, other)];
    const shown = state.suspects.get(other) ?? theirs;
    if (mine === null || shown === null) return null;
    const one = { account: state.account, key: mine.accountKey };
    return safetyNumber(one, { account: other, key: shown.accountKey });
  }

  /**
   * Hold what a vault held, `{accountSeed, archiveSeed}`, either of them null; as unreadable keys. What was taken
   * in without the archive's key is due to be read again.
   */
  adopt({ accountSeed, archiveSeed }) {
    return this.#step(async (state) => {
      if (accountSeed !== null) state.accountKey = await signing.fromSeed(accountSeed);
      if (archiveSeed === null) return;
      const archive = await this.#options.kem.fromSeed(archiveSeed);
      if (same(archive.publicKey, state.archive?.publicKey ?? null)) return;
      state.archive = archive;
      for (const room of state.rooms.values()) recalling.begin(room, ARCHIVE);
    }, EVERYTHING);
  }

  /**
   * The person has decided that another account's new key is right: the one they were shown, if it is given. What
   * was said under it before is due to be read again.
   */
  trust(other, key = null) {
    return this.#step((state) => {
      if (!circle.trust(state, other, key)) return;
      for (const room of state.rooms.values()) {
        Object.assign(room, { halted: "", lists: null });
        recalling.begin(room, other);
      }
    }, EVERYTHING);
  }

  // --- What the server tells ------------------------------------------------------------------------------

  /** A connection has begun: `{generation, digest, count, lowest, highest, lastResort, list, first}`. */
  welcome(inventory, nowMs) {
    return this.#compare(inventory, nowMs, { requested: false });
  }

  /** The same, told while it lasts: a device that was turned away does not ask to be listed once more. */
  inventory(inventory, nowMs) {
    return this.#compare(inventory, nowMs, {});
  }

  /** The account's current SignedList, told by itself or because `list` was refused. */
  ownList(signed) {
    return this.#step((state) => account.takeList(state, signed));
  }

  /** A request `list` was carried out. */
  listStored(number) {
    return this.#step((state) => account.listStored(state, number));
  }

  /** A request `list` was refused for good, and not because another list is current. */
  listRefused() {
    return this.#step((state) => account.listRefused(state));
  }

  /** A request `listing` was carried out. */
  listingRequested() {
    return this.#step((state) => void (state.requested = true));
  }

  /** A request `prekeys` was carried out, with these ids. */
  prekeysStored(ids) {
    return this.#step((state) => stock.confirm(state.stock, ids), ["stock"]);
  }

  /** The lists of a room's members: `{members, lists, barred}`, see `sending.takeLists`. */
  lists(name, told, nowMs) {
    return this.#inRoom(name, nowMs, (state, room) => sending.takeLists(state, room, told));
  }

  /** What a request `claim` gave: a list of `[account, device, SignedPrekey]`. */
  claimed(name, claim, given, nowMs) {
    return this.#inRoom(name, nowMs, (state, room) => sending.takePrekeys(state, room, claim, given));
  }

  /** A request `keys` or `message` was carried out, now or before. */
  stored(name, mid, place, nowMs) {
    return this.#inRoom(name, nowMs, (_, room) => sending.stored(room, mid, place));
  }

  /** A request `keys` or `message` was refused for good: `{error, again, lists}`, see `sending.refused`. */
  refused(name, mid, refusal, nowMs) {
    return this.#inRoom(name, nowMs, (state, room) => sending.refused(state, name, room, mid, refusal));
  }

  /**
   * The next event of a room, as for `receiving.take`; one that was taken in before is passed over. Throws
   * `out_of_order` when it does not follow: nothing has changed, and the log is to be resumed from `cursor`.
   */
  event(event, nowMs) {
    const { log, offset } = event.place;
    return this.#inRoom(event.room, nowMs, async (state, room) => {
      const { cursor } = room;
      if (log === cursor.log && offset <= cursor.offset) return [];
      const follows = offset === cursor.offset + 1 && (cursor.log === 0 || cursor.log === log);
      require(follows, "out_of_order", "the event does not follow the last one");
      const outcomes = await receiving.take(state, this.#options.kem, room, event);
      room.cursor = event.place;
      return outcomes;
    }, event.keys ? ["self", "stock"] : []);
  }

  /** The log goes on from `lowest`: it began anew with a restore, or what was before is purged. */
  reset(name, log, lowest) {
    return this.#step((state) => {
      const room = this.#room(name);
      if (log === room.cursor.log) for (const speaker of room.speakers.values()) speaker.loose = true;
      else {
        Object.assign(room, { floor: new Map(), epoch: null, previous: null, replaying: true });
        room.sent = room.sent.filter(({ place }) => place.offset >= lowest);
      }
      room.cursor = { log, offset: Math.max(0, lowest - 1) };
      recalling.beginAnew(room, lowest);
    }, [roomPart(name)]);
  }

  /** Everything stored so far has been delivered. Nothing is sent in a room before the first time. */
  caughtUp(name, log, nowMs) {
    return this.#inRoom(name, nowMs, (_, room) => {
      room.left = false;
      if (room.cursor.log === 0) room.cursor = { log, offset: 0 };
      const isAnew = room.replaying;
      room.replaying = false;
      recalling.finish(room);
      if (!isAnew) return [];
      const isHere = ({ place }) => place.log === room.cursor.log;
      const lost = room.sent.filter((sent) => !isHere(sent));
      room.sent = room.sent.filter(isHere);
      return lost.map(({ mid }) => ({ what: "lost", room: name, mid }));
    });
  }

  /**
   * The page that a request `recall` asked for: `{log, lowest, events}`; what it tells takes the place of what was
   * told before. Throws `out_of_order` when the page has a hole: nothing has changed.
   */
  recalled(name, after, page) {
    const take = (state) => recalling.take(state, this.#options.kem, this.#room(name), after, page);
    return this.#step(take, [roomPart(name), "self"]);
  }

  /** The account is no longer a member of a room. What waits stays, should it become one again. */
  removed(name) {
    return this.#step(() => void (this.#room(name).left = true), [roomPart(name)]);
  }

  /**
   * From now on seal what is written in a room to the organisation's archive too (its public key), or no
   * longer (null). The app has the key from the platform it belongs to, and shows that there is an archive.
   */
  organisation(name, publicKey, nowMs) {
    return this.#inRoom(name, nowMs, (_, room) => {
      if (same(publicKey, room.organisation)) return;
      Object.assign(room, { organisation: publicKey, epoch: null });
    });
  }

  // --- What the app asks ----------------------------------------------------------------------------------

  /**
   * Write a message; a promise of its id, 16 bytes, once it is saved. A `mid` is for one that was `lost`, or
   * that may have been written before, which is passed over then. Throws `outbox_full`, or `bad_content` when
   * it is too long.
   */
  async send(name, content, nowMs, { mid = sending.newId(nowMs), session = null, urgent = false } = {}) {
    const encoded = encodeContent(content);
    require(encoded.length <= MAX_CONTENT_BYTES, "bad_content", "a message this long goes as an attachment");
    await this.#inRoom(name, nowMs, (_, room) => {
      if (includes([...room.drafts, ...room.sent].map((known) => known.mid), mid)) return;
      require(room.drafts.length < OUTBOX, "outbox_full", "too many messages wait for the server");
      room.drafts = [...room.drafts, { mid, content: encoded, session, urgent }];
    });
    return mid;
  }

  /** Of every account known the number of its latest list. */
  listNumbers() {
    const accounts = [this.#state.account, ...this.#state.known.keys()];
    return new Map(accounts.map((account) => [account, circle.numberOf(this.#state, account)]));
  }

  /** Where the log of each room is to be resumed: a Map of room to `{epoch, offset}`, as connections do. */
  positions() {
    const known = [...this.#state.rooms].filter(([, { cursor }]) => cursor.log > 0);
    return new Map(known.map(([name, { cursor }]) => [name, { epoch: cursor.log, offset: cursor.offset }]));
  }

  /** The last event of a room that was taken in: `{log, offset}`. */
  cursor(name) {
    return this.#room(name).cursor;
  }

  /**
   * A key that every device of the room derives from a speaker's live epoch, as for its media. Throws
   * `unknown_epoch` when there is none that can be opened.
   */
  exported(name, [owner, device], label, context, length) {
    const speaker = this.#room(name).speakers.get(address(owner, device));
    if (!speaker?.exporter) throw new E2eeError("unknown_epoch", "no epoch of this device can be opened");
    return ratchet.exported(speaker.exporter, label, context, length);
  }

  /**
   * What the server is to be asked for now, in this order; each `{ask, ...}`: `listing` (`key`), `prekeys`
   * (`oneTime`, `lastResort`), `list` (`list`), `lists` (`room`), `claim` (`room`, `claim`, `devices`),
   * `keys` (`room`, `mid`, `keys`), `message` (`room`, `mid`, `data`, `session`, `urgent`, `lists`), `recall`
   * (`room`, `after`). All can be repeated, and are named until they are answered.
   */
  async requests() {
    await this.#last;
    const state = this.#state;
    const listed = account.isListed(state);
    const due = listed || state.requested ? [] : [{ ask: "listing", key: this.key }];
    const wanted = await stock.unconfirmed(state);
    if (wanted !== null) due.push({ ask: "prekeys", ...wanted });
    const next = account.listDue(state);
    if (next !== null) due.push({ ask: "list", list: next });
    if (!listed) return due;
    const ofRooms = [...state.rooms].flatMap(([name, room]) => [
      sending.requestOf(state, name, room),
      recalling.requestOf(name, room),
    ]);
    return [...due, ...ofRooms.filter((request) => request !== null)];
  }

  /** Take in what the server holds of this device; `more` is changed besides. */
  #compare(inventory, nowMs, more) {
    return this.#step(async (state) => {
      const good = await stock.compare(state.stock, inventory, nowMs);
      const { kem, prekeys: target } = this.#options;
      await stock.refill(state.stock, kem, { count: inventory.count, target, nowMs });
      const { list, first } = inventory;
      await account.numberFirst(state, first);
      Object.assign(state, { serverList: list || first - 1, ...more });
      for (const room of state.rooms.values()) {
        if (room.halted !== "") Object.assign(room, { halted: "", lists: null, claim: null });
      }
      return good ? [] : [{ what: "suspicion", account: state.account, error: "inventory_drift" }];
    }, EVERYTHING);
  }

  /** One step in a room, and what follows from it there. */
  #inRoom(name, nowMs, change, alsoChanged = ["self"]) {
    const work = async (state) => {
      const room = this.#room(name);
      const outcomes = (await change(state, room)) ?? [];
      return [...outcomes, ...(await sending.proceed(state, this.#options.kem, name, room, nowMs))];
    };
    return this.#step(work, [roomPart(name), ...alsoChanged]);
  }

  /** One change after the other, each saved with its outcomes before the next begins. */
  #step(change, changed = ["self"]) {
    const step = this.#last.then(async () => {
      const outcomes = (await change(this.#state)) ?? [];
      await this.#options.store.save(this.#state, outcomes, changed);
      return outcomes;
    });
    this.#last = step.catch(() => undefined); // it is told to whoever took the step
    return step;
  }

  #room(name) {
    if (!this.#state.rooms.has(name)) this.#state.rooms.set(name, newRoom());
    return this.#state.rooms.get(name);
  }
}
