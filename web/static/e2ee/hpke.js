/**
 * HPKE (RFC 9180) in base mode, one message per key: KEM X-Wing, HKDF-SHA256, AES-256-GCM.
 */

import { concat, utf8 } from "./bytes.js";
import { E2eeError } from "./errors.js";
import { expand, extract, secretKey } from "./kdf.js";

const KDF = 0x0001; // HKDF-SHA256
const AEAD = 0x0002; // AES-256-GCM
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const MODE_BASE = Uint8Array.of(0);
const EMPTY = new Uint8Array(0);

/** Bytes that only the holder of the private key reads: `{enc, sealed}`; `sealed` is 16 bytes longer. */
export async function seal(kem, publicKey, info, plaintext) {
  const { shared, enc } = await kem.encapsulate(publicKey);
  const { key, iv } = await schedule(kem, shared, info, "encrypt");
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plaintext);
  return { enc, sealed: new Uint8Array(sealed) };
}

/** What `seal` was given; throws E2eeError `unreadable_slot` if the key, `info` or a byte differ. */
export async function open(kem, privateKey, info, { enc, sealed }) {
  const shared = await kem.decapsulate(privateKey, enc);
  const { key, iv } = await schedule(kem, shared, info, "decrypt");
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, sealed));
  } catch (error) {
    throw new E2eeError("unreadable_slot", "it was not sealed to this key", { cause: error });
  }
}

/** Key and nonce (RFC 9180, 5.1). */
async function schedule(kem, shared, info, usage) {
  const suite = concat(utf8("HPKE"), u16(kem.id), u16(KDF), u16(AEAD));
  const [pskIdHash, infoHash, secret] = await Promise.all([
    labeledExtract(suite, EMPTY, "psk_id_hash", EMPTY),
    labeledExtract(suite, EMPTY, "info_hash", info),
    labeledExtract(suite, shared, "secret", EMPTY),
  ]);
  const context = concat(MODE_BASE, pskIdHash, infoHash);
  const prk = await secretKey(secret);
  const [raw, iv] = await Promise.all([
    labeledExpand(suite, prk, "key", context, KEY_BYTES),
    labeledExpand(suite, prk, "base_nonce", context, NONCE_BYTES),
  ]);
  return { key: await crypto.subtle.importKey("raw", raw, "AES-GCM", false, [usage]), iv };
}

function labeledExtract(suite, salt, label, ikm) {
  return extract(salt, concat(utf8("HPKE-v1"), suite, utf8(label), ikm));
}

function labeledExpand(suite, prk, label, info, length) {
  return expand(prk, concat(u16(length), utf8("HPKE-v1"), suite, utf8(label), info), length);
}

function u16(number) {
  return Uint8Array.of(number >> 8, number & 0xff);
}
