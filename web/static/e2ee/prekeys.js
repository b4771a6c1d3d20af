/**
 * Prekeys: public keys that a device leaves with the server, so that others can seal to it while it is away.
 *
 * One-time prekeys go out first in, first out, each once; the last-resort one is for when they have run out.
 */

import { concat } from "./bytes.js";
import { require } from "./errors.js";
import { sha256 } from "./kdf.js";
import * as signing from "./signing.js";
import * as s from "./structures.js";
import { PUBLIC_BYTES } from "./xwing.js";

const MAX_PREKEY_BYTES = 2048;

/** A public key of a device, good for one seal: the body of a signed prekey. */
export const Prekey = s.structure({
  account: s.accountId,
  device: s.deviceId,
  generation: s.count, // which life of the server's key store; goes up when a backup is restored
  id: s.integer(1), // goes up with every prekey of the device; none is used twice
  lastResort: s.boolean, // may be handed out more than once
  public: s.bytes(PUBLIC_BYTES),
});

/** A prekey as it travels. */
export const SignedPrekey = s.structure({ body: s.blob(MAX_PREKEY_BYTES), signature: s.bytes(64) });

/** Sign a prekey with the device's private key. Gives a SignedPrekey. */
export async function makePrekey(deviceKey, prekey) {
  const body = s.pack(Prekey, prekey);
  return { body, signature: await signing.sign(deviceKey, "prekey", body) };
}

/**
 * The prekey inside, once `deviceKey` (32 bytes) has signed it for this account and device. Throws
 * `forged_signature`, `malformed`, `truncated` or `wrong_prekey`.
 */
export async function verifyPrekey(signed, { account, device, deviceKey }) {
  const genuine = await signing.verify(deviceKey, "prekey", signed.body, signed.signature);
  require(genuine, "forged_signature", "the prekey is not signed by this device");
  const prekey = s.unpack(Prekey, signed.body, MAX_PREKEY_BYTES);
  const meant = prekey.account === account && prekey.device === device;
  require(meant, "wrong_prekey", "the prekey is of another device");
  return prekey;
}

/**
 * SHA-256 over id (8 bytes, big-endian) and public key of the one-time prekeys held, by rising id. The server
 * sends it in `welcome`; a device that computes another one replaces what the server holds.
 */
export function inventoryDigest(held) {
  const sorted = [...held].sort((one, other) => one.id - other.id);
  return sha256(concat(...sorted.flatMap((prekey) => [u64(prekey.id), prekey.public])));
}

function u64(number) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  return bytes;
}
