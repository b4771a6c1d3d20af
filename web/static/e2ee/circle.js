/** Whose keys are whose, as far as this device has seen: pinned account keys and the latest device lists. */

import { equal } from "./bytes.js";
import { senderList } from "./epoch.js";
import { E2eeError, require } from "./errors.js";
import { DeviceList, advance, keyOf } from "./identity.js";
import { sha256 } from "./kdf.js";
import { FORMER_KEPT, OWN_LISTS_KEPT, includes } from "./state.js";
import { unpack } from "./structures.js";

/** The latest SignedList seen of an account, which was verified then; or null. */
export function latest(state, account) {
  return (account === state.account ? state.ownLists.at(-1) : state.known.get(account)) ?? null;
}

/** What stands in a list that was verified before. */
export function read(signed) {
  return unpack(DeviceList, signed.body);
}

/** The number of the latest list seen of an account; 0 for none. */
export function numberOf(state, account) {
  const known = latest(state, account);
  return known === null ? 0 : read(known).number;
}

/** Take a list as the account's current one. Throws what `identity.advance` throws. */
export async function learn(state, account, shown) {
  const known = latest(state, account);
  let devices;
  try {
    devices = await advance(known, shown, account);
  } catch (error) {
    if (error.kind === "identity_changed") state.suspects.set(account, shown);
    throw error;
  }
  if (known === null || !equal(shown.body, known.body)) remember(state, account, shown, devices);
  return devices;
}

/**
 * The sender's list that an epoch brings: the latest one, an earlier one, or news. With `again` the log is read
 * again, and it may be from before the account had other keys. Lists of others that the header names are held
 * against those known: two with one number are a fork. Throws `identity_changed`, `list_forked`, or what
 * `senderList` throws.
 */
export async function recognise(state, header, again) {
  const devices = await senderList(header);
  const known = latest(state, header.account);
  if (known === null || devices.number >= read(known).number) await learn(state, header.account, header.own);
  else {
    const keys = [known.accountKey, ...(again ? (state.former.get(header.account) ?? []) : [])];
    require(includes(keys, header.own.accountKey), "identity_changed", "another key than before");
  }
  for (const { account, number, digest } of header.lists) {
    const seen = latest(state, account);
    const forked = seen !== null && read(seen).number === number && !equal(await sha256(seen.body), digest);
    if (forked) throw new E2eeError("list_forked", "the sender was shown another list of the same number");
  }
  return devices;
}

/**
 * A person has decided that the account's new key is right: `key`, which they were shown, or null for whatever it
 * is now. Whether there was one to decide on.
 */
export function trust(state, account, key) {
  const shown = state.suspects.get(account);
  if (shown === undefined || account === state.account) return false;
  if (key !== null && !equal(key, shown.accountKey)) return false;
  state.suspects.delete(account);
  const known = state.known.get(account);
  const former = [...(state.former.get(account) ?? []), ...(known === undefined ? [] : [known.accountKey])];
  state.former.set(account, former.slice(-FORMER_KEPT));
  state.known.set(account, shown);
  return true;
}

function remember(state, account, shown, devices) {
  if (account !== state.account) {
    state.known.set(account, shown);
    state.suspects.delete(account);
    return;
  }
  state.ownLists = [...state.ownLists, shown].slice(-OWN_LISTS_KEPT);
  if (keyOf(devices, state.device) !== null && state.listedFrom === 0) state.listedFrom = devices.number;
}
