/**
 * One room's log, as a device reads it: the keys of each speaker, and their messages in turn.
 *
 * An event that cannot be opened is set aside with its reason and does not hold up the rest. After a restore
 * from a backup the log is delivered again: what was read before, and was sealed in an earlier life of the
 * log, is passed over in silence.
 */

import { equal, same } from "./bytes.js";
import * as circle from "./circle.js";
import { decodeContent } from "./content.js";
import * as epochs from "./epoch.js";
import { E2eeError, require } from "./errors.js";
import { keyOf } from "./identity.js";
import { sha256 } from "./kdf.js";
import * as messages from "./message.js";
import * as ratchet from "./ratchet.js";
import { FINISHED_KEPT, MIDS_KEPT, address, hex, includes, parts } from "./state.js";
import * as stock from "./stock.js";

/** What is wrong with a device list, and not with the event alone. */
const OF_LISTS = new Set(["wrong_account", "identity_changed", "list_rolled_back", "list_forked"]);

/**
 * Take in one event that follows the cursor, which the caller moves: `{room, place, account, device, keys}`
 * or `{..., message: {mid, data, session}}` or neither. Gives what the app has to be told.
 */
export async function take(state, kem, room, event) {
  const outcomes = [];
  try {
    if (event.keys) await takeKeys(state, kem, room, event, outcomes);
    else if (event.message) await takeMessage(state, room, event, outcomes);
  } catch (error) {
    if (!(error instanceof E2eeError)) throw error;
    const suspicion = { what: "suspicion", account: event.account, error: error.kind };
    if (OF_LISTS.has(error.kind)) outcomes.push(suspicion);
    outcomes.push(told("set_aside", event, { error: error.kind }));
  }
  return outcomes;
}

// --- Keys -------------------------------------------------------------------------------------------------

async function takeKeys(state, kem, room, event, outcomes) {
  const { account, device, keys, place } = event;
  const header = epochs.readHeader(keys.header);
  const devices = await circle.recognise(state, header, room.replaying || room.recalling);
  const deviceKey = keyOf(devices, device);
  require(deviceKey !== null, "unknown_device", "the list named has no such device");
  await epochs.checkHeader(keys, { room: event.room, account, device, deviceKey });
  const later = header.after.log === place.log && header.after.offset >= place.offset;
  require(!later, "reordered", "it stands before what its sender had read");
  if (room.replaying && isOwn(state, event)) room.previous = { epoch: header.epoch, last: null };
  const speaker = room.speakers.get(address(account, device)) ?? null;
  if (speaker !== null && (equal(speaker.epoch, header.epoch) || isOver(speaker, header))) {
    require(header.after.log < place.log, "replayed", "it was opened before");
    return;
  }
  raiseFloor(state, room, header);
  const archive = room.organisation && (await sha256(room.organisation));
  if (!same(header.organisation, archive)) {
    outcomes.push(told("archived", event, { archive: header.organisation }));
  }
  if (speaker !== null) outcomes.push(...missingEpochs(event, header, speaker));
  const following = follow(speaker, header, { log: place.log, number: devices.number, key: deviceKey });
  room.speakers.set(address(account, device), following);
  try {
    Object.assign(following, await unseal(state, kem, room, keys, header));
  } catch (error) {
    following.error = error.kind;
    if (error.kind !== "before_this_device") throw error;
  }
}

function follow(speaker, { epoch, after }, { log, number, key }) {
  return {
    epoch, // its live epoch
    after, // what it had taken in when it began that
    log, // the life of the log in which it was opened
    number, // of its account's list under which it speaks
    key, // the device's public key, from that list
    chain: null, // for its next message; null when the epoch cannot be opened here
    exporter: null,
    error: "", // why not
    loose: false, // some of its messages were purged unread: a hole before the next one is no alarm
    finished: speaker === null ? [] : [...speaker.finished, begunBy(speaker)].slice(-FINISHED_KEPT),
    mids: speaker?.mids ?? [], // its messages shown
  };
}

function begunBy({ epoch, after }) {
  return { epoch, after };
}

/** Whether an epoch is one before the live one: one of those remembered, or of before they were begun. */
function isOver(speaker, { epoch, after }) {
  if (speaker.finished.some((finished) => equal(finished.epoch, epoch))) return true;
  if (equal(speaker.epoch, epoch) || speaker.finished.length < FINISHED_KEPT) return false;
  const oldest = speaker.finished[0].after;
  return after.log === oldest.log ? after.offset <= oldest.offset : after.log < oldest.log;
}

/**
 * Nobody speaks under a list that the log has left behind: its device may have been revoked. Only numbers of
 * lists that were seen raise the floor, so that no member can raise it out of reach.
 */
function raiseFloor(state, room, header) {
  const floorOf = (account) => room.floor.get(account) ?? 0;
  const stale = header.lists.some(({ account, number }) => number < floorOf(account));
  require(!stale, "stale_list", "an earlier event of the room names a newer list");
  for (const { account, number } of header.lists) {
    const proven = Math.min(number, provenNumber(state, room, account));
    room.floor.set(account, Math.max(floorOf(account), proven));
  }
}

/** The highest number of an account's list that was seen: in a second reading, up to this place. */
function provenNumber(state, room, account) {
  if (!room.recalling) return circle.numberOf(state, account);
  const theirs = [...room.speakers].filter(([key]) => parts(key)[0] === account);
  return Math.max(0, ...theirs.map(([, { number }]) => number));
}

/** Whether everything that the sender had stored before this epoch has arrived. */
function missingEpochs(event, header, speaker) {
  // Purged, or a restore came between: its sender finds out itself what was lost.
  if (speaker.loose || header.after.log < event.place.log || speaker.log < event.place.log) return [];
  const before = header.previous;
  const whole = before === null || !equal(before.epoch, speaker.epoch);
  if (whole) return [told("missing", event, { count: null })];
  const count = (before.last ?? -1) + 1 - (speaker.chain?.index ?? Infinity);
  return count > 0 ? [told("missing", event, { count })] : [];
}

/** `{chain, exporter}` of an epoch. */
async function unseal(state, kem, room, keys, header) {
  const own = header.account === state.account && header.device === state.device;
  const slot = epochs.findSlot(keys, state.account, state.device);
  const inTurn = room.recalling && (own || slot !== null) && !wasRefused(state, room, header);
  require(!inTurn, "before_this_device", "it was read in its turn");
  const left = room.past === null ? [] : [...room.past.opens, ...room.waiting];
  const isLeft = slot !== null && left.includes(header.account);
  require(!isLeft, "before_this_device", "it is left to the second reading");
  if (own) {
    const echo = room.echoes.get(hex(header.epoch));
    require(echo !== undefined, "unknown_epoch", "this device has begun no such epoch");
    room.echoes.delete(hex(header.epoch));
    return echo;
  }
  if (slot !== null) {
    const privateKey = stock.find(state.stock, slot.prekey);
    require(privateKey !== null, "unknown_prekey", "the slot is for a prekey not held");
    const seed = await epochs.openSlot(kem, keys.header, slot, privateKey);
    stock.spend(state.stock, slot.prekey);
    return ratchet.start(keys.header, seed);
  }
  const mayOpen = room.recalling ? room.opens.includes(epochs.ARCHIVE) : !left.includes(epochs.ARCHIVE);
  const archived = mayOpen ? await openArchived(state, kem, keys) : null;
  if (archived !== null) return ratchet.start(keys.header, archived);
  const number = header.lists.find(({ account }) => account === state.account)?.number ?? 0;
  const named = state.listedFrom > 0 && number >= state.listedFrom;
  require(!named || room.recalling, "missing_slot", "this device is named, but nothing is sealed to it");
  throw new E2eeError("before_this_device", "it was written before this device was there");
}

/** Whether it was said under a key that the first reading did not trust yet. */
function wasRefused(state, room, { account, own }) {
  const known = circle.latest(state, account);
  return room.opens.includes(account) && known !== null && equal(known.accountKey, own.accountKey);
}

/**
 * The seed of an epoch that was sealed to the archive whose key is held, or null. The account may have had another
 * archive then, which looks the same as a slot that someone has changed.
 */
async function openArchived(state, kem, keys) {
  const slot = epochs.findSlot(keys, state.account, epochs.ARCHIVE);
  if (slot === null || state.archive === null) return null;
  try {
    return await epochs.openSlot(kem, keys.header, slot, state.archive.privateKey);
  } catch (error) {
    if (error.kind === "unreadable_slot") return null;
    throw error;
  }
}

// --- Messages ---------------------------------------------------------------------------------------------

async function takeMessage(state, room, event, outcomes) {
  const { account, device, place, message } = event;
  const { envelope, header } = messages.read(message.data);
  const speaker = room.speakers.get(address(account, device));
  require(speaker !== undefined, "unknown_epoch", "no keys event has opened this epoch");
  const arrival = { room: event.room, account, device, mid: message.mid, session: message.session, place };
  await messages.check(envelope, header, arrival, speaker.key);
  if (room.replaying && isOwn(state, event)) readBack(room, header, place);
  const again = header.after.log < place.log;
  if (isOver(speaker, header)) {
    require(again, "wrong_epoch", "its sender has begun a newer epoch since");
    return;
  }
  require(equal(header.epoch, speaker.epoch), "unknown_epoch", "no keys event has opened this epoch");
  require(speaker.number >= (room.floor.get(account) ?? 0), "stale_list", "the room names a newer list");
  if (speaker.chain === null) outcomes.push(told("set_aside", event, { error: speaker.error }));
  else if (isNext(event, header, speaker, outcomes, again)) {
    await openMessage(event, envelope, speaker, await ratchet.forward(speaker.chain, header.index), outcomes);
  }
}

/** Whether it is to be opened: not if it was opened in an earlier life of the log. */
function isNext(event, header, speaker, outcomes, again) {
  try {
    messages.checkOrder(header, speaker.chain.index);
  } catch (error) {
    if (error.kind === "gap") {
      if (!again && !speaker.loose) outcomes.push(told("missing", event, { count: error.missing }));
    } else if (again && (error.kind === "duplicate" || error.kind === "replayed")) return false;
    else throw error;
  }
  speaker.loose = false;
  return true;
}

async function openMessage(event, envelope, speaker, chain, outcomes) {
  const { mid, session } = event.message;
  // The index is spent, whatever is inside: one bad message does not hold up the next.
  speaker.chain = await ratchet.forward(chain, chain.index + 1);
  const content = decodeContent(await messages.decrypt(envelope, chain));
  if (includes(speaker.mids, mid)) return;
  speaker.mids = [...speaker.mids, mid].slice(-MIDS_KEPT);
  outcomes.push(told("opened", event, { mid, session, content }));
}

/** A message of this device stands in the log that is read again. */
function readBack(room, header, place) {
  room.previous = { epoch: header.epoch, last: header.index };
  room.sent = room.sent.map((sent) => (equal(sent.mid, header.mid) ? { ...sent, place } : sent));
}

function isOwn(state, { account, device }) {
  return account === state.account && device === state.device;
}

function told(what, { room, place, account, device }, more) {
  return { what, room, place, account, device, ...more };
}
