/** SHA-256, HMAC-SHA256 and HKDF-SHA256 (RFC 5869) in its two steps, on WebCrypto. */

import { concat } from "./bytes.js";

const HMAC = { name: "HMAC", hash: "SHA-256" };
const HASH_BYTES = 32;

/** The 32 bytes of SHA-256. */
export async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** The 64 bytes of SHA-512. */
export async function sha512(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-512", data));
}

/** A key for `mac` and `expand`, which no script can read out again. */
export function secretKey(bytes) {
  // WebCrypto takes no empty key; zeros up to a block are the same key (RFC 2104, 2).
  const raw = bytes.length === 0 ? new Uint8Array(HASH_BYTES) : bytes;
  return crypto.subtle.importKey("raw", raw, HMAC, false, ["sign"]);
}

/** HMAC-SHA256 under a key of `secretKey`. */
export async function mac(key, data) {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, data));
}

/** HKDF-Extract: the 32 bytes of the pseudorandom key. */
export async function extract(salt, ikm) {
  return mac(await secretKey(salt), ikm);
}

/** HKDF-Expand: `length` bytes for `info`, from a key of `secretKey`. */
export async function expand(key, info, length) {
  const blocks = [];
  let last = new Uint8Array(0);
  for (let counter = 1; blocks.length * HASH_BYTES < length; counter++) {
    last = await mac(key, concat(last, info, Uint8Array.of(counter)));
    blocks.push(last);
  }
  return concat(...blocks).slice(0, length);
}
