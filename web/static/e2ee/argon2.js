/**
 * Argon2id (RFC 9106), version 0x13, which WebCrypto lacks: a key from a passphrase, at a cost in memory.
 *
 * With 64 MiB and three passes it takes seconds of computing, in which it lets the page breathe. The memory
 * is overwritten before it is given back.
 */

import { concat } from "./bytes.js";
import { blake2b, bytesOf } from "./blake2b.js";
import { addWithProduct, xorTurn } from "./words64.js";

const VERSION = 0x13;
const TYPE = 2; // Argon2id
const SLICES = 4;
const BLOCK_WORDS = 256; // of 32 bits: 1,024 bytes
const BREATH_BLOCKS = 2048;

/** `length` bytes for a passphrase (bytes) and a salt; costs as RFC 9106 names them t, m and p. */
export async function argon2id(passphrase, salt, { passes, memoryKib, lanes, length }) {
  const run = new Run(passes, memoryKib, lanes);
  run.begin(seedOf(passphrase, salt, { passes, memoryKib, lanes, length }));
  for (let pass = 0; pass < passes; pass++) {
    for (let slice = 0; slice < SLICES; slice++) {
      for (let lane = 0; lane < lanes; lane++) await run.segment(pass, slice, lane);
    }
  }
  return run.finish(length);
}

/** H_0 (3.2). */
function seedOf(passphrase, salt, { passes, memoryKib, lanes, length }) {
  const numbers = le32(lanes, length, memoryKib, passes, VERSION, TYPE, passphrase.length);
  return blake2b(concat(numbers, passphrase, le32(salt.length), salt, le32(0, 0))); // no secret, no data
}

/** The memory of one computation, and where in it everything stands. */
class Run {
  constructor(passes, memoryKib, lanes) {
    this.passes = passes;
    this.lanes = lanes;
    this.segmentLength = Math.floor(memoryKib / (SLICES * lanes));
    this.laneLength = SLICES * this.segmentLength;
    this.memory = new Uint32Array(this.laneLength * lanes * BLOCK_WORDS);
    this.scratch = new Uint32Array(BLOCK_WORDS);
  }

  block(lane, column) {
    const start = (lane * this.laneLength + column) * BLOCK_WORDS;
    return this.memory.subarray(start, start + BLOCK_WORDS);
  }

  begin(seed) {
    for (let lane = 0; lane < this.lanes; lane++) {
      for (const column of [0, 1]) {
        this.block(lane, column).set(wordsOf(longHash(concat(seed, le32(column, lane)), 1024)));
      }
    }
  }

  async segment(pass, slice, lane) {
    const addresses = pass === 0 && slice < 2 ? this.addresses(pass, slice, lane) : null;
    for (let index = pass === 0 && slice === 0 ? 2 : 0; index < this.segmentLength; index++) {
      const column = slice * this.segmentLength + index;
      const before = this.block(lane, (column + this.laneLength - 1) % this.laneLength);
      const [low, high] = addresses === null ? before : addresses(index);
      const otherLane = pass === 0 && slice === 0 ? lane : high % this.lanes;
      const other = this.block(otherLane, this.reference(pass, slice, index, otherLane === lane, low));
      fill(this.block(lane, column), before, other, this.scratch, pass > 0);
      if (index % BREATH_BLOCKS === BREATH_BLOCKS - 1) await breath();
    }
  }

  /** The numbers that choose references whatever the passphrase (3.4.1.2), by index in the segment. */
  addresses(pass, slice, lane) {
    const input = new Uint32Array(BLOCK_WORDS);
    const total = this.laneLength * this.lanes;
    [pass, lane, slice, total, this.passes, TYPE].forEach((number, i) => (input[2 * i] = number));
    const [zero, inner, block] = [0, 1, 2].map(() => new Uint32Array(BLOCK_WORDS));
    return (index) => {
      if (index % 128 === 0 || input[12] === 0) {
        input[12] += 1;
        fill(inner, zero, input, this.scratch, false);
        fill(block, zero, inner, this.scratch, false);
      }
      return block.subarray(2 * (index % 128));
    };
  }

  /** The column of the block to take up, from the number J_1 (3.4.2). */
  reference(pass, slice, index, sameLane, low) {
    const earlier = (pass === 0 ? slice : SLICES - 1) * this.segmentLength;
    const size = sameLane ? earlier + index - 1 : earlier - (index === 0 ? 1 : 0);
    const near = highHalf(size, highHalf(low, low));
    const start = pass === 0 || slice === SLICES - 1 ? 0 : (slice + 1) * this.segmentLength;
    return (start + size - 1 - near) % this.laneLength;
  }

  finish(length) {
    const last = this.block(0, this.laneLength - 1).slice();
    for (let lane = 1; lane < this.lanes; lane++) {
      this.block(lane, this.laneLength - 1).forEach((word, i) => (last[i] ^= word));
    }
    this.memory.fill(0);
    return longHash(bytesOf(last), length);
  }
}

/** The compression function (3.5): `target` becomes it, or takes it up by exclusive or. */
function fill(target, one, other, work, takeUp) {
  for (let i = 0; i < BLOCK_WORDS; i++) {
    work[i] = one[i] ^ other[i];
    target[i] = takeUp ? target[i] ^ work[i] : work[i];
  }
  for (let row = 0; row < 8; row++) permute(work, 32 * row, 4, 2);
  for (let column = 0; column < 8; column++) permute(work, 4 * column, 32, 2);
  for (let i = 0; i < BLOCK_WORDS; i++) target[i] ^= work[i];
}

/** The permutation P (3.6) of eight registers, `register` apart, of two words each, `word` apart. */
function permute(work, start, register, word) {
  const at = (i) => start + (i >> 1) * register + (i & 1) * word;
  for (let i = 0; i < 4; i++) mix(work, at(i), at(i + 4), at(i + 8), at(i + 12));
  for (let i = 0; i < 4; i++) {
    mix(work, at(i), at(4 + ((i + 1) & 3)), at(8 + ((i + 2) & 3)), at(12 + ((i + 3) & 3)));
  }
}

function mix(work, a, b, c, d) {
  addWithProduct(work, a, b);
  xorTurn(work, d, a, 32);
  addWithProduct(work, c, d);
  xorTurn(work, b, c, 24);
  addWithProduct(work, a, b);
  xorTurn(work, d, a, 16);
  addWithProduct(work, c, d);
  xorTurn(work, b, c, 63);
}

/** H' (3.3): a hash of any length. */
function longHash(data, length) {
  const input = concat(le32(length), data);
  if (length <= 64) return blake2b(input, length);
  const parts = [];
  let last = blake2b(input);
  let left = length;
  for (; left > 64; left -= 32) {
    parts.push(last.subarray(0, 32));
    last = blake2b(last, Math.min(64, left - 32));
  }
  return concat(...parts, last);
}

/** The upper 32 bits of the product of two numbers of 32. */
function highHalf(one, other) {
  return Number((BigInt(one) * BigInt(other)) >> 32n);
}

function le32(...numbers) {
  return bytesOf(Uint32Array.from(numbers));
}

function wordsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** Let the page paint and answer. */
function breath() {
  return new Promise((resolve) => setTimeout(resolve));
}
