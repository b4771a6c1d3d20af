/**
 * The hash ratchet of an epoch: from a seed to one key per message, forwards only.
 *
 * A chain is `{key, index}`, the chain key of the message `index`; it gives that message's key and the next
 * chain, and is then forgotten, so that whoever steals a device cannot go back. Chain keys are CryptoKeys
 * that no script can read. What media and live chat derive comes from a key of its own, which can be kept.
 */

import { concat, utf8 } from "./bytes.js";
import { expand, extract, secretKey, sha256 } from "./kdf.js";

/** How many messages an epoch has at most. */
export const MAX_MESSAGES = 100;
export const SEED_BYTES = 32;

/** What an epoch's header says of its seed, so that everyone is given the same one. */
export function commitment(seed) {
  return sha256(concat(utf8("rapport/v1/commit\0"), seed));
}

/** The chain of an epoch at its first message, and the key for `exported`: `{chain, exporter}`. */
export async function start(header, seed) {
  const root = await secretKey(await extract(await sha256(header), seed));
  const [first, exporter] = await Promise.all([
    expand(root, utf8("rapport/v1/chain"), 32),
    expand(root, utf8("rapport/v1/exporter"), 32),
  ]);
  return { chain: { key: await secretKey(first), index: 0 }, exporter: await secretKey(exporter) };
}

/** `{key, nonce}` of the chain's message: 32 and 12 bytes. */
export async function messageKey(chain) {
  const material = await expand(chain.key, utf8("rapport/v1/message"), 44);
  return { key: material.slice(0, 32), nonce: material.slice(32) };
}

/** The chain at a later `index`, or the same one. */
export async function forward(chain, index) {
  let { key } = chain;
  for (let step = chain.index; step < index; step++) {
    key = await secretKey(await expand(key, utf8("rapport/v1/next"), 32));
  }
  return { key, index };
}

/** A key for another use: `label` says which one, `context` (bytes) for what, such as a session's id. */
export function exported(exporter, label, context, length) {
  return expand(exporter, concat(utf8(`rapport/v1/export/${label}\0`), context), length);
}
