/**
 * Sender epochs: 32 bytes of seed, sealed to every device of every member in one event of the room's log.
 *
 * The header is signed by the sending device and bound into every slot. It commits to the seed, so that
 * nobody can be given another one, and names the device lists it was made for, so that nobody can be left out
 * unseen.
 */

import { concat, equal, utf8 } from "./bytes.js";
import { require } from "./errors.js";
import * as hpke from "./hpke.js";
import { SignedList, verifyList } from "./identity.js";
import { sha256 } from "./kdf.js";
import { SEED_BYTES, commitment } from "./ratchet.js";
import * as signing from "./signing.js";
import * as s from "./structures.js";
import { ENC_BYTES } from "./xwing.js";

/** After that long a sender begins a new epoch. */
export const MAX_AGE_MS = 24 * 3600 * 1000;

/** In place of a device: the account's archive. In place of the account too: the organisation's. */
export const ARCHIVE = "";

export const EPOCH_BYTES = 16;
export const NO_DIGEST = new Uint8Array(32); // of the list of an account that has none

const MAX_HEADER_BYTES = 16 * 1024;
const SEALED_BYTES = SEED_BYTES + 16;

/** A place in a room's log: which life of the log, and the offset in it. */
export const Place = s.structure({ log: s.count, offset: s.count });

const ListName = s.structure({ account: s.accountId, number: s.count, digest: s.bytes(32) });

/** The epoch of the same device before this one, and the index of the last message stored in it. */
const Before = s.structure({ epoch: s.bytes(EPOCH_BYTES), last: s.optional(s.count) });

/** What the sending device signs for `keys`. */
export const EpochHeader = s.structure({
  room: s.roomId,
  account: s.accountId,
  device: s.deviceId,
  epoch: s.bytes(EPOCH_BYTES),
  commitment: s.bytes(32), // `commitment` of the seed
  lists: s.list(ListName, 64, 1), // of every member of the room, sorted by account; number 0 for no list
  own: SignedList, // the sender's, so that whoever comes back later can check it without asking
  organisation: s.optional(s.bytes(32)), // SHA-256 of the public key of the organisation's archive
  previous: s.optional(Before),
  after: Place, // the last event of the room that the device had taken in
  createdMs: s.count,
});

const Slot = s.structure({
  account: s.text(128, 0),
  device: s.text(64, 0),
  prekey: s.count, // which prekey of the device; 0 for an archive
  enc: s.bytes(ENC_BYTES),
  sealed: s.bytes(SEALED_BYTES),
});

/** All that one `keys` event carries. */
export const EpochKeys = s.structure({
  header: s.blob(MAX_HEADER_BYTES),
  signature: s.bytes(64),
  slots: s.list(Slot, 1024),
});

/**
 * Seal an epoch to `recipients`, each `{account, device, prekey, public}`. Gives EpochKeys. Throws
 * `malformed`, with the recipient's `account`, for a public key that is none.
 */
export async function makeKeys(kem, header, seed, deviceKey, recipients) {
  const packed = s.pack(EpochHeader, header);
  const slots = await Promise.all(recipients.map((recipient) => sealSlot(kem, packed, seed, recipient)));
  return { header: packed, signature: await signing.sign(deviceKey, "keys", packed), slots };
}

/** A header without any proof; throws `malformed` or `truncated`. */
export function readHeader(packed) {
  return s.unpack(EpochHeader, packed, MAX_HEADER_BYTES);
}

/**
 * Whether the device that the server names signed this header for this room. Throws `wrong_room`,
 * `wrong_sender` or `forged_signature`.
 */
export async function checkHeader(keys, { room, account, device, deviceKey }) {
  const header = readHeader(keys.header);
  require(header.room === room, "wrong_room", "the epoch is of another room");
  const sender = header.account === account && header.device === device;
  require(sender, "wrong_sender", "another device made the epoch");
  const genuine = await signing.verify(deviceKey, "keys", keys.header, keys.signature);
  require(genuine, "forged_signature", "the epoch is not signed by its device");
  return header;
}

/**
 * The sender's device list as the header brings it; whose key signed it is for the caller to compare. Throws
 * what `verifyList` throws, and `list_forked` when it is not the one named.
 */
export async function senderList(header) {
  const devices = await verifyList(header.own, header.account);
  const digest = await sha256(header.own.body);
  const named = header.lists.some(
    (name) => name.account === header.account && name.number === devices.number && equal(name.digest, digest),
  );
  require(named, "list_forked", "the list that the header brings is not the one that it names");
  return devices;
}

/** The slot of a device, or null; `device` may be ARCHIVE. */
export function findSlot(keys, account, device) {
  return keys.slots.find((slot) => slot.account === account && slot.device === device) ?? null;
}

/**
 * The seed of an epoch whose packed `header` was checked. Throws `unreadable_slot` or `bad_commitment`.
 */
export async function openSlot(kem, header, slot, privateKey) {
  const seed = await hpke.open(kem, privateKey, await slotInfo(header, slot), slot);
  require(seed.length === SEED_BYTES, "unreadable_slot", "the slot holds no seed");
  const promised = readHeader(header).commitment;
  require(equal(await commitment(seed), promised), "bad_commitment", "the seed is not the one committed to");
  return seed;
}

async function sealSlot(kem, header, seed, recipient) {
  const { account, device, prekey } = recipient;
  try {
    const sealed = await hpke.seal(kem, recipient.public, await slotInfo(header, recipient), seed);
    return { account, device, prekey, ...sealed };
  } catch (error) {
    throw Object.assign(error, { account });
  }
}

/** HPKE's `info` of a slot: which header it belongs to, and whose it is. */
async function slotInfo(header, { account, device, prekey }) {
  const addressee = s.pack(Addressee, { account, device, prekey });
  return concat(utf8("rapport/v1/slot\0"), await sha256(header), addressee);
}

const Addressee = s.structure({ account: s.text(128, 0), device: s.text(64, 0), prekey: s.count });
