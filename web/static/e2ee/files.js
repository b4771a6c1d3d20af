/**
 * Files in messages: sealed before they leave the device, and proven before anything of them is given to people.
 *
 * How the ciphertext travels is left to `blobs.js`.
 */

import { decrypt, encrypt, newKey } from "./attachments.js";
import { equal } from "./bytes.js";
import { require } from "./errors.js";
import { Sha256 } from "./sha256.js";

const NAME_CHARACTERS = 255;
const BATCH_BYTES = 4 * 1024 * 1024;

/**
 * Encrypt a File: `{content, ciphertext}`, where the content is that of a message, and names the ciphertext, a
 * Blob. `progress(bytes)` is called with how much of the file is done; rejects with the reason of `signal`.
 */
export async function sealFile(file, { progress = () => {}, signal = null } = {}) {
  const key = newKey();
  const hash = new Sha256();
  let size = 0;
  const plain = counted(piecesOf(file.stream()), (piece) => {
    signal?.throwIfAborted();
    progress((size += piece.length));
  });
  const ciphertext = await gathered(counted(encrypt(key, plain), (piece) => hash.update(piece)));
  require(size === file.size, "attachment_truncated", "the file was changed while it was read");
  const described = { name: shortened(file.name), media_type: file.type.slice(0, NAME_CHARACTERS) };
  return { content: { type: "attachment", blob: hash.digest(), key, size, ...described }, ciphertext };
}

/**
 * The file that the content of a message describes, from the pieces of its ciphertext: a Blob without a type,
 * once all of it is proven. Throws `attachment_tampered` or `attachment_truncated`.
 */
export async function openFile({ blob, key, size }, pieces) {
  const hash = new Sha256();
  const file = await gathered(decrypt(key, size, counted(pieces, (piece) => hash.update(piece))));
  require(equal(hash.digest(), blob), "attachment_tampered", "it is not what the message names");
  return file;
}

/** The same pieces, after each was shown to `see`. */
async function* counted(pieces, see) {
  for await (const piece of pieces) {
    see(piece);
    yield piece;
  }
}

/** The pieces as one Blob, which the browser keeps where there is place, and not in the memory of the page. */
async function gathered(pieces) {
  const blobs = [];
  let batch = [];
  let held = 0;
  for await (const piece of pieces) {
    batch.push(piece);
    held += piece.length;
    if (held < BATCH_BYTES) continue;
    blobs.push(new Blob(batch));
    batch = [];
    held = 0;
  }
  return new Blob([...blobs, ...batch]);
}

/** What a ReadableStream gives: not every browser can go through one by itself. */
async function* piecesOf(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}

/** A name that is not too long, with its ending. */
function shortened(name) {
  if (name.length <= NAME_CHARACTERS) return name;
  const ending = /\.[^.]{1,15}$/.exec(name)?.[0] ?? "";
  const kept = name.slice(0, NAME_CHARACTERS - ending.length);
  return kept.replace(/[\ud800-\udbff]$/, "") + ending; // half a character is none
}
