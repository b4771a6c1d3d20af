/**
 * Encrypting attachments: a stream of chunks under a random key that travels in the message.
 *
 * Chunk `i` holds 65,536 bytes of the file, the last one what is left, from none to 65,536. Its nonce is
 * seven zeros, `i` in four bytes, and one byte that is 1 for the last chunk and 0 for all others: a chunk
 * that is changed, moved or missing does not open. The ciphertext's SHA-256 names the blob at the server.
 * Files of any length pass through in pieces; no more than a chunk is kept.
 */

import { concat, random, utf8 } from "./bytes.js";
import { E2eeError, require } from "./errors.js";

const CHUNK_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const LABEL = utf8("rapport/v1/attachment");

/** A key for one file, and for no other: 32 bytes. */
export function newKey() {
  return random(32);
}

/** How many bytes the ciphertext of a file of `size` bytes has. */
export function encryptedSize(size) {
  return size + TAG_BYTES * Math.max(1, Math.ceil(size / CHUNK_BYTES));
}

/** The file's bytes, from an (async) iterable of Uint8Arrays, to its ciphertext, chunk by chunk. */
export async function* encrypt(key, pieces) {
  const aead = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  for await (const { index, last, chunk } of chunked(pieces, CHUNK_BYTES)) {
    yield new Uint8Array(await crypto.subtle.encrypt(parameters(index, last), aead, chunk));
  }
}

/**
 * The ciphertext back to the file, of which the message says that it has `size` bytes, chunk by chunk. What
 * was given out is genuine, and complete when it ends without an error: `attachment_tampered` or
 * `attachment_truncated`.
 */
export async function* decrypt(key, size, pieces) {
  const aead = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const whole = ofSize(pieces, encryptedSize(size));
  for await (const { index, last, chunk } of chunked(whole, CHUNK_BYTES + TAG_BYTES)) {
    try {
      yield new Uint8Array(await crypto.subtle.decrypt(parameters(index, last), aead, chunk));
    } catch (error) {
      throw new E2eeError("attachment_tampered", "its bytes were changed", { cause: error });
    }
  }
}

/** The same pieces, as long as they are just this many bytes together. */
async function* ofSize(pieces, size) {
  let missing = size;
  for await (const piece of pieces) {
    missing -= piece.length;
    require(missing >= 0, "attachment_tampered", "it is longer than the message says");
    yield piece;
  }
  require(missing === 0, "attachment_truncated", "its end is missing");
}

/** The pieces cut anew into chunks of `size`; the last one may be shorter, and there is always one. */
async function* chunked(pieces, size) {
  let waiting = new Uint8Array(0);
  let index = 0;
  for await (const piece of pieces) {
    waiting = concat(waiting, piece);
    // A full chunk may be the last one: it waits until more is there.
    let start = 0;
    for (; waiting.length - start > size; start += size) {
      yield { index: index++, last: false, chunk: waiting.subarray(start, start + size) };
    }
    waiting = waiting.slice(start);
  }
  yield { index, last: true, chunk: waiting };
}

function parameters(index, last) {
  const iv = new Uint8Array(12);
  const view = new DataView(iv.buffer);
  view.setUint32(7, index);
  view.setUint8(11, last ? 1 : 0);
  return { name: "AES-GCM", iv, additionalData: LABEL };
}
