/**
 * An account's own devices: who is let in, who is put out, and what the server has to be told of it.
 *
 * What a person wants waits until a list has it. One list at a time is proposed, and sent until it is answered, so
 * that a reply that was lost leads neither to two lists of one number nor to a wish that is forgotten; when another
 * device of the account was first, the next list is made from its list.
 */

import { equal, same } from "./bytes.js";
import * as circle from "./circle.js";
import { ARCHIVE } from "./epoch.js";
import { E2eeError, require } from "./errors.js";
import { MAX_DEVICES, keyOf, makeList, nextList } from "./identity.js";
import { generate } from "./signing.js";

/** Make the account's key and its first list, unless it has one; other devices may do so at this moment. */
export async function begin(state, nowMs) {
  if (state.ownLists.length > 0 || state.proposed !== null) return;
  state.accountKey ??= await generate();
  await found(state, nowMs);
}

/** Make the account's first list, with this device in it. */
export function found(state, nowMs) {
  const devices = [entryOf(state.device, state.key.publicKey, nowMs)];
  return propose(state, { devices, archive: null, nowMs });
}

/** Let a device in. Throws `unknown_list` where the account's key is not held, or `too_many_devices`. */
export function approve(state, device, key, nowMs) {
  return want(state, { device, key, atMs: nowMs });
}

/** Put a device out. Throws `unknown_list` where the account's key is not held. */
export function revoke(state, device, nowMs) {
  return want(state, { device, key: null, atMs: nowMs });
}

/** Name another archive by its public key, or none. Throws as `revoke` does. */
export function keepArchive(state, archive, nowMs) {
  return want(state, { device: ARCHIVE, key: archive, atMs: nowMs });
}

/** Whether this device is in the latest list. */
export function isListed(state) {
  const own = circle.latest(state, state.account);
  const key = own === null ? null : keyOf(circle.read(own), state.device);
  return key !== null && equal(key, state.key.publicKey);
}

/** The account's current list: another one was first, if it has the number of what was proposed. */
export async function takeList(state, signed) {
  try {
    const { number } = await circle.learn(state, state.account, signed);
    const key = state.accountKey?.publicKey;
    if (key && !equal(key, signed.accountKey)) state.accountKey = null; // another device has begun the account
    giveWay(state, number);
    state.serverList = number;
    await proposeNext(state);
    return isListed(state) ? [] : [{ what: "unlisted", number }];
  } catch (error) {
    if (!(error instanceof E2eeError)) throw error;
    return [{ what: "suspicion", account: state.account, error: error.kind }];
  }
}

/** The account's first list is to have this number: its keys were reset since it had others. */
export async function numberFirst(state, number) {
  if (state.proposed === null || state.ownLists.length > 0 || state.accountKey === null) return;
  const first = circle.read(state.proposed);
  if (first.number >= number || first.previous !== null) return;
  state.proposed = await makeList(state.accountKey, { ...first, number });
}

/** The server has taken the list of this number. */
export async function listStored(state, number) {
  state.serverList = number;
  if (state.proposed !== null && circle.read(state.proposed).number === number) {
    await circle.learn(state, state.account, state.proposed);
    state.proposed = null;
  }
  await proposeNext(state);
}

/** The server does not take the list that was proposed, and never will: what it was for is given up. */
export async function listRefused(state) {
  if (state.proposed === null || state.ownLists.length === 0) return;
  const proposed = circle.read(state.proposed);
  state.proposed = null;
  state.wanted = state.wanted.filter((change) => !isIn(change, proposed));
  await proposeNext(state);
}

/** The list that follows the one the server has, proposed here or lost there with a restore; or null. */
export function listDue(state) {
  if (state.serverList < 0) return null;
  const all = state.proposed === null ? state.ownLists : [...state.ownLists, state.proposed];
  return all.find((signed) => circle.read(signed).number === state.serverList + 1) ?? null;
}

/** A change is `{device, key, atMs}`: what is to have this public key, or null; ARCHIVE names the archive. */
async function want(state, change) {
  const own = circle.latest(state, state.account);
  const isHeld = own !== null && state.accountKey !== null;
  require(isHeld, "unknown_list", "this device does not hold the key of an account with a list");
  const wanted = [...state.wanted.filter(({ device }) => device !== change.device), change];
  const fits = changed(circle.read(own).devices, wanted).length <= MAX_DEVICES;
  require(fits, "too_many_devices", "an account has no more devices than that");
  state.wanted = wanted;
  await proposeNext(state);
}

/** Make the list that has all that is wanted, unless one is on its way. */
async function proposeNext(state) {
  const known = circle.latest(state, state.account);
  if (state.proposed !== null || known === null || state.accountKey === null) return;
  const { devices, archive } = circle.read(known);
  state.wanted = state.wanted.filter((change) => !isIn(change, { devices, archive }));
  if (state.wanted.length === 0) return;
  const wish = state.wanted.find(({ device }) => device === ARCHIVE);
  await propose(state, {
    devices: changed(devices, state.wanted),
    archive: wish === undefined ? archive : wish.key,
    nowMs: Math.max(...state.wanted.map(({ atMs }) => atMs)),
  });
}

/**
 * The list of this number is current. What was proposed may have been stored before it, and undone: then nobody is
 * let in once more.
 */
function giveWay(state, number) {
  const proposed = state.proposed && circle.read(state.proposed);
  if (proposed === null || proposed.number > number) return;
  const isUndone = (change) => change.device !== ARCHIVE && change.key !== null && isIn(change, proposed);
  if (proposed.number < number) state.wanted = state.wanted.filter((change) => !isUndone(change));
  state.proposed = null;
}

/** Whether a list is as it was wanted. */
function isIn({ device, key }, list) {
  return same(device === ARCHIVE ? list.archive : keyOf(list, device), key);
}

/** The devices of a list once everything wanted is in it. */
function changed(devices, wanted) {
  const kept = devices.filter(({ device }) => wanted.every((change) => change.device !== device));
  const added = wanted.filter(({ device, key }) => device !== ARCHIVE && key !== null);
  return [...kept, ...added.map(({ device, key, atMs }) => entryOf(device, key, atMs))];
}

function entryOf(device, key, addedMs) {
  return { device, key, addedMs };
}

async function propose(state, { devices, archive, nowMs }) {
  const known = circle.latest(state, state.account);
  const following = await nextList(known, { account: state.account, devices, archive, nowMs });
  state.proposed = await makeList(state.accountKey, following);
}
