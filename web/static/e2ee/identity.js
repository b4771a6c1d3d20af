/**
 * Who speaks for an account: its key, and the numbered list of its devices which that key signs.
 *
 * A list is taken only when it is signed by the account key already pinned, and when it follows the list
 * known. What a change of the account key means, only people can tell: `safetyNumber` is what they compare.
 */

import { concat, equal, same, utf8 } from "./bytes.js";
import { E2eeError, require } from "./errors.js";
import { sha256, sha512 } from "./kdf.js";
import * as signing from "./signing.js";
import * as s from "./structures.js";
import { PUBLIC_BYTES } from "./xwing.js";

export const MAX_DEVICES = 20;

const MAX_LIST_BYTES = 8192;
const SAFETY_ROUNDS = 5200;

const DeviceEntry = s.structure({ device: s.deviceId, key: s.bytes(32), addedMs: s.count });

/** The devices of an account from a moment on: the body of a signed list. */
export const DeviceList = s.structure({
  account: s.accountId,
  number: s.integer(1), // 1 for the first, and one more each time
  createdMs: s.count,
  devices: s.list(DeviceEntry, MAX_DEVICES), // sorted by device, none twice
  archive: s.optional(s.bytes(PUBLIC_BYTES)), // to which the account's history is sealed too
  previous: s.optional(s.bytes(32)), // SHA-256 of the body of the list before
});

/** A device list as it travels. */
export const SignedList = s.structure({
  accountKey: s.bytes(32),
  body: s.blob(MAX_LIST_BYTES),
  signature: s.bytes(64),
});

/** Sign a list; `account` is a pair of `signing`. Gives a SignedList. */
export async function makeList(account, devices) {
  const body = s.pack(DeviceList, devices);
  const signature = await signing.sign(account.privateKey, "device-list", body);
  return { accountKey: account.publicKey, body, signature };
}

/** The list that follows `known` (a SignedList, or null for none), with these devices. */
export async function nextList(known, { account, devices, archive, nowMs }) {
  const number = known === null ? 1 : s.unpack(DeviceList, known.body).number + 1;
  const sorted = [...devices].sort((one, other) => s.compareText(one.device, other.device));
  const previous = known === null ? null : await sha256(known.body);
  return { account, number, createdMs: nowMs, devices: sorted, archive, previous };
}

/**
 * The list inside, once its signature holds and it is well-formed and of `account`. Says nothing about whose
 * the key is: that is `advance`. Throws `forged_signature`, `malformed`, `truncated` or `wrong_account`.
 */
export async function verifyList(signed, account) {
  const genuine = await signing.verify(signed.accountKey, "device-list", signed.body, signed.signature);
  require(genuine, "forged_signature", "the list is not signed by this key");
  const devices = s.unpack(DeviceList, signed.body, MAX_LIST_BYTES);
  require(devices.account === account, "wrong_account", "the list is of another account");
  const sorted = devices.devices.every(
    ({ device }, i, all) => i === 0 || s.compareText(all[i - 1].device, device) < 0,
  );
  const numbered = devices.number > 1 || devices.previous === null;
  require(sorted && numbered, "malformed", "a device is out of place, or the numbering is off");
  return devices;
}

/**
 * Take `shown` as the account's current list after `known`, the one pinned; both are SignedLists, `known`
 * null for an account seen for the first time. Lists in between may be left out: one signature by the pinned
 * key over a higher number is enough, and where the very next list is shown it must name `known`.
 *
 * Throws what `verifyList` throws, `identity_changed`, `list_rolled_back` or `list_forked`.
 */
export async function advance(known, shown, account) {
  const devices = await verifyList(shown, account);
  if (known === null) return devices;
  const pinned = equal(shown.accountKey, known.accountKey);
  require(pinned, "identity_changed", "the account has another key than before");
  const { number } = await verifyList(known, account);
  require(devices.number >= number, "list_rolled_back", "a newer list is known");
  if (devices.number === number) {
    require(equal(shown.body, known.body), "list_forked", "two lists have one number");
  } else if (devices.number === number + 1) {
    const follows = same(devices.previous, await sha256(known.body));
    require(follows, "list_forked", "the list does not follow the one known");
  }
  return devices;
}

/** The key of a device in a list, or null. */
export function keyOf(devices, device) {
  return devices.devices.find((entry) => entry.device === device)?.key ?? null;
}

/** What two people compare, each given as `{account, key}`: 12 groups of 5 digits, the same for both. */
export async function safetyNumber(one, other) {
  const halves = await Promise.all([digits(one), digits(other)]);
  return halves.sort().join(" ");
}

/** What a person compares before letting a new device in: 3 groups of 4 digits. */
export async function verificationCode(accountKey, deviceKey) {
  const digest = await sha256(concat(utf8("rapport/v1/device-code\0"), accountKey, deviceKey));
  const number = new DataView(digest.buffer).getBigUint64(0) % 10n ** 12n;
  return number.toString().padStart(12, "0").match(/.{4}/g).join(" ");
}

/** Six groups of five digits for one of the two. */
async function digits({ account, key }) {
  let value = concat(utf8("rapport/v1/safety-number\0"), key, utf8(account));
  for (let round = 0; round < SAFETY_ROUNDS; round++) value = await sha512(concat(value, key));
  const view = new DataView(value.buffer);
  const number = (at) => view.getUint8(at) * 2 ** 32 + view.getUint32(at + 1);
  const groups = [0, 5, 10, 15, 20, 25].map((at) => String(number(at) % 100_000).padStart(5, "0"));
  return groups.join(" ");
}
