/**
 * Words of 64 bits in a Uint32Array, two numbers each, the lower half first; `at` is the index of the lower.
 * What BLAKE2b and Argon2 do with them.
 */

const TWO_32 = 2 ** 32;

/** words[at] += words[other] + the word (low, high). */
export function add(words, at, other, low, high) {
  const sum = words[at] + words[other] + low;
  words[at + 1] = (words[at + 1] + words[other + 1] + high + Math.floor(sum / TWO_32)) | 0;
  words[at] = sum | 0;
}

/** words[at] += words[other] + 2 * the product of the lower halves of both (RFC 9106, 3.6). */
export function addWithProduct(words, at, other) {
  const [a, b] = [words[at], words[other]];
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const [outer, inner] = [Math.imul(a1, b0) >>> 0, Math.imul(a0, b1) >>> 0];
  const carry = ((Math.imul(a0, b0) >>> 16) + (outer & 0xffff) + (inner & 0xffff)) >>> 16;
  const high = Math.imul(a1, b1) + (outer >>> 16) + (inner >>> 16) + carry;
  add(words, at, other, 2 * (Math.imul(a, b) >>> 0), 2 * high);
}

/** words[at] = (words[at] xor words[other]) turned right by `turn` bits, from 1 to 63. */
export function xorTurn(words, at, other, turn) {
  let low = words[at] ^ words[other];
  let high = words[at + 1] ^ words[other + 1];
  if (turn >= 32) [low, high] = [high, low];
  const shift = turn & 31;
  if (shift === 0) {
    words[at] = low;
    words[at + 1] = high;
  } else {
    words[at] = (low >>> shift) | (high << (32 - shift));
    words[at + 1] = (high >>> shift) | (low << (32 - shift));
  }
}
