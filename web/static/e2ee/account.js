/** An account's own devices: who is let in, who is put out, and what the server has to be told of it. */

import { equal } from "./bytes.js";
import * as circle from "./circle.js";
import { E2eeError, require } from "./errors.js";
import { keyOf, makeList, nextList } from "./identity.js";
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

/** Let a device in. Throws `unknown_list` where the account's key is not held. */
export function approve(state, device, key, nowMs) {
  const { devices, archive } = current(state);
  const following = [...without(devices, device), entryOf(device, key, nowMs)];
  return propose(state, { devices: following, archive, nowMs });
}

/** Put a device out. Throws `unknown_list` where the account's key is not held. */
export function revoke(state, device, nowMs) {
  const { devices, archive } = current(state);
  return propose(state, { devices: without(devices, device), archive, nowMs });
}

/** Name another archive by its public key, or none. Throws as `revoke` does. */
export function keepArchive(state, archive, nowMs) {
  return propose(state, { devices: current(state).devices, archive, nowMs });
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
    if (state.proposed !== null && circle.read(state.proposed).number <= number) state.proposed = null;
    state.serverList = number;
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
}

/** The list that follows the one the server has, proposed here or lost there with a restore; or null. */
export function listDue(state) {
  if (state.serverList < 0) return null;
  const all = state.proposed === null ? state.ownLists : [...state.ownLists, state.proposed];
  return all.find((signed) => circle.read(signed).number === state.serverList + 1) ?? null;
}

function current(state) {
  const own = circle.latest(state, state.account);
  require(own !== null, "unknown_list", "the account has no list yet");
  return circle.read(own);
}

function without(devices, device) {
  return devices.filter((entry) => entry.device !== device);
}

function entryOf(device, key, addedMs) {
  return { device, key, addedMs };
}

async function propose(state, { devices, archive, nowMs }) {
  require(state.accountKey !== null, "unknown_list", "this device does not hold the account's key");
  const known = circle.latest(state, state.account);
  const following = await nextList(known, { account: state.account, devices, archive, nowMs });
  state.proposed = await makeList(state.accountKey, following);
}
