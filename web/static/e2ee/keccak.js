/**
 * SHA3-256 and SHAKE256 (FIPS 202), which WebCrypto lacks; X-Wing needs both.
 *
 * Lanes of 64 bits are two numbers of 32, the lower half first. Nothing branches on, or looks up by, the
 * data, so the time taken tells nothing about secrets.
 */

const ROUNDS = 24;
const ROUND_CONSTANTS = roundConstants();

/** The 32 bytes of SHA3-256. */
export function sha3_256(data) {
  return sponge(136, 0x06, data, 32);
}

/** As many bytes of SHAKE256 as asked for. */
export function shake256(data, length) {
  return sponge(136, 0x1f, data, length);
}

/** Absorb `data` in blocks of `rate` bytes, pad with `suffix`, squeeze `length` bytes (FIPS 202, 4). */
function sponge(rate, suffix, data, length) {
  const state = new Uint32Array(50);
  let filled = 0;
  const absorb = (byte, position) => (state[position >> 2] ^= byte << (8 * (position & 3)));
  for (const byte of data) {
    absorb(byte, filled);
    if (++filled === rate) {
      permute(state);
      filled = 0;
    }
  }
  absorb(suffix, filled);
  absorb(0x80, rate - 1);
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    if (i % rate === 0) permute(state);
    const position = i % rate;
    out[i] = state[position >> 2] >>> (8 * (position & 3));
  }
  return out;
}

/** Keccak-f[1600] (FIPS 202, 3.3), in place. */
function permute(state) {
  for (let round = 0; round < ROUNDS; round++) {
    theta(state);
    rhoAndPi(state);
    chi(state);
    state[0] ^= ROUND_CONSTANTS[2 * round];
    state[1] ^= ROUND_CONSTANTS[2 * round + 1];
  }
}

/** Each bit takes up the parities of two columns. */
function theta(state) {
  const parity = new Uint32Array(10);
  for (let i = 0; i < 50; i++) parity[i % 10] ^= state[i];
  for (let x = 0; x < 5; x++) {
    const left = 2 * ((x + 4) % 5);
    const right = 2 * ((x + 1) % 5);
    const low = parity[left] ^ ((parity[right] << 1) | (parity[right + 1] >>> 31));
    const high = parity[left + 1] ^ ((parity[right + 1] << 1) | (parity[right] >>> 31));
    for (let lane = 2 * x; lane < 50; lane += 10) {
      state[lane] ^= low;
      state[lane + 1] ^= high;
    }
  }
}

/** Lanes are turned by triangular numbers and change places, in one walk through all but the first. */
function rhoAndPi(state) {
  let [x, y] = [1, 0];
  let [low, high] = [state[2], state[3]];
  for (let step = 1; step < 25; step++) {
    [x, y] = [y, (2 * x + 3 * y) % 5];
    const turn = ((step * (step + 1)) / 2) % 64;
    if (turn >= 32) [low, high] = [high, low];
    const shift = turn % 32; // never 0 on this walk
    const turned = [(low << shift) | (high >>> (32 - shift)), (high << shift) | (low >>> (32 - shift))];
    const lane = 2 * (x + 5 * y);
    [low, high] = [state[lane], state[lane + 1]];
    [state[lane], state[lane + 1]] = turned;
  }
}

/** Each bit takes up whether the next is 0 and the one after it 1, within its row. */
function chi(state) {
  for (let row = 0; row < 50; row += 10) {
    const lanes = state.slice(row, row + 10);
    for (let i = 0; i < 10; i++) state[row + i] ^= ~lanes[(i + 2) % 10] & lanes[(i + 4) % 10];
  }
}

/** The constants of all rounds (FIPS 202, 3.2.5), from the shift register x^8 + x^6 + x^5 + x^4 + 1. */
function roundConstants() {
  const constants = new Uint32Array(2 * ROUNDS);
  let register = 1;
  for (let round = 0; round < ROUNDS; round++) {
    for (let power = 0; power < 7; power++) {
      const bit = 2 ** power - 1;
      if (register & 1) constants[2 * round + (bit >> 5)] ^= 1 << (bit & 31);
      register <<= 1;
      if (register & 0x100) register ^= 0x171;
    }
  }
  return constants;
}
