/** BLAKE2b (RFC 7693) without a key, up to 64 bytes; Argon2 is built on it. */

import { add, xorTurn } from "./words64.js";

const BLOCK_BYTES = 128;

// The fractional parts of the square roots of the first eight primes, lower halves first (RFC 7693, 2.6).
const INITIAL = Uint32Array.of(
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
  0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
);

// Which words of the message each of the ten rounds takes, in order; the last two are as the first (2.7).
const SCHEDULE = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

// Columns, then diagonals, of the four by four words.
const QUARTERS = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

/** The hash of `data`, `length` bytes long. */
export function blake2b(data, length = 64) {
  const state = INITIAL.slice();
  state[0] ^= 0x01010000 ^ length;
  const blocks = Math.max(1, Math.ceil(data.length / BLOCK_BYTES));
  for (let i = 0; i < blocks; i++) {
    const end = Math.min(data.length, (i + 1) * BLOCK_BYTES);
    compress(state, wordsOf(data.subarray(i * BLOCK_BYTES, end)), end, i === blocks - 1);
  }
  return bytesOf(state).slice(0, length);
}

/** Bytes as little-endian numbers of 32 bits, filled up with zeros to a block. */
function wordsOf(bytes) {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(bytes);
  const view = new DataView(block.buffer);
  return Uint32Array.from({ length: BLOCK_BYTES / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** Numbers of 32 bits as little-endian bytes. */
export function bytesOf(words) {
  const view = new DataView(new ArrayBuffer(4 * words.length));
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return new Uint8Array(view.buffer);
}

/** The function F (3.2): `taken` is how many bytes of the message this block completes. */
function compress(state, message, taken, last) {
  const work = new Uint32Array(32);
  work.set(state);
  work.set(INITIAL, 16);
  work[24] ^= taken;
  work[25] ^= Math.floor(taken / 2 ** 32);
  if (last) {
    work[28] = ~work[28];
    work[29] = ~work[29];
  }
  for (let round = 0; round < 12; round++) {
    const order = SCHEDULE[round % 10];
    QUARTERS.forEach((quarter, i) => mix(work, quarter, message, 2 * order[2 * i], 2 * order[2 * i + 1]));
  }
  for (let i = 0; i < 16; i++) state[i] ^= work[i] ^ work[i + 16];
}

/** The function G (3.1), with the message's words at `first` and `second`. */
function mix(work, quarter, message, first, second) {
  const [a, b, c, d] = quarter.map((word) => 2 * word);
  add(work, a, b, message[first], message[first + 1]);
  xorTurn(work, d, a, 32);
  add(work, c, d, 0, 0);
  xorTurn(work, b, c, 24);
  add(work, a, b, message[second], message[second + 1]);
  xorTurn(work, d, a, 16);
  add(work, c, d, 0, 0);
  xorTurn(work, b, c, 63);
}
