/**
 * One room, as a device speaks in it: one thing in flight, made once, and sent until it is answered.
 *
 *     drafts -> lists known -> prekeys claimed -> keys stored -> message stored -> next draft
 *
 * What needs chance is made here and saved before it is sent; a refusal for good makes the epoch useless,
 * because its next message key was used.
 */

import { uuid7, uuidToBytes } from "../uuid.js";
import { equal, random } from "./bytes.js";
import * as circle from "./circle.js";
import { ARCHIVE, EPOCH_BYTES, EpochKeys, MAX_AGE_MS, NO_DIGEST, makeKeys } from "./epoch.js";
import { E2eeError } from "./errors.js";
import { keyOf } from "./identity.js";
import { sha256 } from "./kdf.js";
import * as messages from "./message.js";
import { verifyPrekey } from "./prekeys.js";
import * as ratchet from "./ratchet.js";
import { SENT_KEPT, address, hex, parts } from "./state.js";
import { compareText, decoded, pack } from "./structures.js";

/** A UUIDv7 as 16 bytes. */
export function newId(nowMs) {
  return uuidToBytes(uuid7(nowMs));
}

/** What is to be asked for now, or null; the same until it is answered. */
export function requestOf(state, name, room) {
  if (room.left) return null;
  if (room.opening !== null) {
    const keys = EpochKeys.read(decoded(room.opening.data));
    return { ask: "keys", room: name, mid: room.opening.mid, keys };
  }
  if (room.flying !== null) {
    const { mid, session, urgent } = room.drafts[0];
    const { data, epoch } = room.flying;
    return { ask: "message", room: name, mid, data, session, urgent, lists: epoch.lists };
  }
  if (!mayGoOn(room)) return null;
  if (room.lists === null) return { ask: "lists", room: name };
  if (room.claim === null) return null;
  return { ask: "claim", room: name, claim: room.claim, devices: unclaimed(state, room).map(parts) };
}

/** Make what comes next, if nothing is in flight or asked for. Gives what the app has to be told. */
export async function proceed(state, kem, name, room, nowMs) {
  if (room.opening !== null || room.flying !== null || !mayGoOn(room) || room.lists === null) return [];
  if (room.epoch !== null && isUsable(room, nowMs)) {
    await seal(state, name, room);
    return [];
  }
  room.epoch = null;
  if (unclaimed(state, room).length > 0) {
    room.claim ??= newId(nowMs);
    return [];
  }
  room.claim = null;
  try {
    await open(state, kem, name, room, nowMs);
    return [];
  } catch (error) {
    if (!(error instanceof E2eeError)) throw error;
    return halt(room, error.account, error.kind); // a key, though signed, that nothing can be sealed to
  }
}

/**
 * The current lists of the members: `{members, lists, barred}`, with SignedLists by account.
 * What is wrong with one of them stops sending in this room.
 */
export async function takeLists(state, room, { members, lists, barred = [] }) {
  const outcomes = [];
  const found = new Map(members.map((account) => [account, { number: 0, digest: NO_DIGEST }]));
  room.halted = "";
  const suspect = (account, error) => {
    room.halted = error;
    outcomes.push({ what: "suspicion", account, error });
  };
  for (const [account, signed] of lists) {
    try {
      const { number } = await circle.learn(state, account, signed);
      found.set(account, { number, digest: await sha256(signed.body) });
    } catch (error) {
      if (!(error instanceof E2eeError)) throw error;
      suspect(account, error.kind);
    }
  }
  for (const [account, { number }] of found) {
    if (number < circle.numberOf(state, account) && room.halted === "") suspect(account, "list_rolled_back");
  }
  keepClaimed(room, found);
  const keys = barred.map(([account, device]) => address(account, device));
  if (!same(room.barred, keys)) room.epoch = null;
  Object.assign(room, { claim: null, lists: found, barred: keys });
  return outcomes;
}

/** What was claimed: `[account, device, SignedPrekey]`s. One that its device has not signed stops sending. */
export async function takePrekeys(state, room, claim, given) {
  if (room.claim === null || !equal(claim, room.claim)) return [];
  room.claim = null;
  for (const [account, device, signed] of given) {
    const known = circle.latest(state, account);
    const deviceKey = known === null ? null : keyOf(circle.read(known), device);
    if (deviceKey === null) continue;
    try {
      const prekey = await verifyPrekey(signed, { account, device, deviceKey });
      room.claimed.set(address(account, device), { id: prekey.id, public: prekey.public });
    } catch (error) {
      if (!(error instanceof E2eeError)) throw error;
      return halt(room, account, error.kind);
    }
  }
  const [without] = unclaimed(state, room);
  return without === undefined ? [] : halt(room, parts(without)[0], "no_prekey");
}

/** The server has what was in flight. */
export function stored(room, mid, place) {
  const { opening, flying } = room;
  if (opening !== null && equal(opening.mid, mid)) {
    const previous = { epoch: opening.epoch.epoch, last: null };
    Object.assign(room, { epoch: opening.epoch, opening: null, claimed: new Map(), previous });
  } else if (flying !== null && equal(flying.mid, mid)) {
    room.previous = { epoch: flying.epoch.epoch, last: flying.epoch.chain.index - 1 };
    room.epoch = room.epoch && flying.epoch; // a restore since then has ended the epoch
    room.sent = [...room.sent, { mid, place }].slice(-SENT_KEPT);
    Object.assign(room, { flying: null, drafts: room.drafts.slice(1) });
  }
}

/**
 * What was in flight is not stored and never will be: the epoch is over. `refusal` is `{error, again,
 * lists}`: its kind, whether it may be made anew, and the lists that came with it, or null.
 */
export async function refused(state, name, room, mid, { error, again, lists }) {
  const { opening, flying } = room;
  if (opening !== null && equal(opening.mid, mid)) room.echoes.delete(hex(opening.epoch.epoch));
  else if (flying === null || !equal(flying.mid, mid)) return [];
  Object.assign(room, { opening: null, flying: null, epoch: null });
  if (lists !== null) return takeLists(state, room, lists);
  room.lists = null;
  if (again) return [];
  const [draft, ...rest] = room.drafts;
  room.drafts = rest;
  return [{ what: "not_sent", room: name, mid: draft.mid, error }];
}

function halt(room, account, error) {
  room.halted = error;
  return [{ what: "suspicion", account, error }];
}

function mayGoOn(room) {
  return room.drafts.length > 0 && room.cursor.log > 0 && !room.replaying && room.halted === "";
}

function isUsable({ epoch, lists, cursor }, nowMs) {
  const age = nowMs - epoch.createdMs;
  const current = epoch.lists.size === lists.size;
  return (
    current &&
    [...lists].every(([account, { number }]) => epoch.lists.get(account) === number) &&
    epoch.log === cursor.log &&
    epoch.chain.index < ratchet.MAX_MESSAGES &&
    age >= 0 &&
    age < MAX_AGE_MS
  );
}

/** Prekeys are good as long as the list is that names their device. */
function keepClaimed(room, found) {
  for (const key of [...room.claimed.keys()]) {
    const [before, now] = [room.lists?.get(parts(key)[0]), found.get(parts(key)[0])];
    const kept = before !== undefined && now !== undefined && equal(before.digest, now.digest);
    if (!kept) room.claimed.delete(key);
  }
}

function same(before, now) {
  return now.length === before.length && now.every((key) => before.includes(key));
}

/** The addresses of all devices that are to read what this one writes, in order. */
function devices(state, room) {
  const found = [];
  for (const account of room.lists?.keys() ?? []) {
    const known = circle.latest(state, account);
    for (const { device } of known === null ? [] : circle.read(known).devices) found.push([account, device]);
  }
  const mine = ([account, device]) => account === state.account && device === state.device;
  const others = found.filter((one) => !mine(one) && !room.barred.includes(address(...one)));
  others.sort(([a, d], [b, e]) => compareText(a, b) || compareText(d, e));
  return others.map((one) => address(...one));
}

function unclaimed(state, room) {
  return devices(state, room).filter((key) => !room.claimed.has(key));
}

function recipients(state, room) {
  const found = devices(state, room).map((key) => {
    const [account, device] = parts(key);
    const { id, public: publicKey } = room.claimed.get(key);
    return { account, device, prekey: id, public: publicKey };
  });
  for (const account of [...room.lists.keys()].sort(compareText)) {
    const known = circle.latest(state, account);
    const archive = known === null ? null : circle.read(known).archive;
    if (archive !== null) found.push({ account, device: ARCHIVE, prekey: 0, public: archive });
  }
  if (room.organisation !== null) {
    found.push({ account: ARCHIVE, device: ARCHIVE, prekey: 0, public: room.organisation });
  }
  return found;
}

async function open(state, kem, name, room, nowMs) {
  const own = circle.latest(state, state.account);
  if (own === null || !room.lists.has(state.account)) {
    room.halted = "unknown_list";
    return;
  }
  const seed = random(ratchet.SEED_BYTES);
  const named = [...room.lists.keys()].sort(compareText);
  const header = {
    room: name,
    account: state.account,
    device: state.device,
    epoch: random(EPOCH_BYTES),
    commitment: await ratchet.commitment(seed),
    lists: named.map((account) => ({ account, ...room.lists.get(account) })),
    own,
    organisation: room.organisation === null ? null : await sha256(room.organisation),
    previous: room.previous,
    after: room.cursor,
    createdMs: nowMs,
  };
  const keys = await makeKeys(kem, header, seed, state.key.privateKey, recipients(state, room));
  const started = await ratchet.start(keys.header, seed);
  const lists = new Map(named.map((account) => [account, room.lists.get(account).number]));
  const epoch = { epoch: header.epoch, chain: started.chain, lists, log: room.cursor.log, createdMs: nowMs };
  room.echoes.set(hex(header.epoch), started);
  room.opening = { mid: newId(nowMs), data: pack(EpochKeys, keys), epoch };
}

async function seal(state, name, room) {
  const { epoch } = room;
  const { chain } = epoch;
  const [{ mid, content, session }] = room.drafts;
  const header = {
    room: name,
    account: state.account,
    device: state.device,
    epoch: epoch.epoch,
    index: chain.index,
    previous: chain.index === 0 ? null : chain.index - 1,
    mid,
    after: room.cursor,
    session,
  };
  const data = await messages.seal(header, chain, content, state.key.privateKey);
  room.flying = { mid, data, epoch: { ...epoch, chain: await ratchet.forward(chain, chain.index + 1) } };
}
