/** SHA-256 (FIPS 180-4) of bytes that come in pieces: WebCrypto hashes only what is all there at once. */

const BLOCK_BYTES = 64;
const PRIMES = primes(64);

/** The first 32 bits of the fractional parts of the primes' roots (4.2.2 and 5.3.3). */
const ROUNDS = Uint32Array.from(PRIMES, (prime) => (Math.cbrt(prime) % 1) * 2 ** 32);
const INITIAL = Uint32Array.from(PRIMES.slice(0, 8), (prime) => (Math.sqrt(prime) % 1) * 2 ** 32);

/** A hash that is fed: `update` with as many pieces as there are, then `digest` once. */
export class Sha256 {
  #state = INITIAL.slice();
  #words = new Uint32Array(BLOCK_BYTES); // the schedule of a block, made anew for each
  #rest = new Uint8Array(BLOCK_BYTES);
  #restView = new DataView(this.#rest.buffer);
  #length = 0;

  /** More of what is hashed. */
  update(data) {
    let at = 0;
    const held = this.#length % BLOCK_BYTES;
    this.#length += data.length;
    if (held > 0) {
      at = Math.min(BLOCK_BYTES - held, data.length);
      this.#rest.set(data.subarray(0, at), held);
      if (held + at < BLOCK_BYTES) return;
      compress(this.#state, this.#words, this.#restView, 0);
    }
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (; data.length - at >= BLOCK_BYTES; at += BLOCK_BYTES) compress(this.#state, this.#words, view, at);
    this.#rest.set(data.subarray(at));
  }

  /** The 32 bytes; nothing can be added any more. */
  digest() {
    const length = this.#length;
    const zeros = (2 * BLOCK_BYTES - 9 - (length % BLOCK_BYTES)) % BLOCK_BYTES;
    const padding = new Uint8Array(zeros + 9);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(zeros + 1, length / 2 ** 29); // the length in bits, as 64 bits
    view.setUint32(zeros + 5, length << 3);
    this.update(padding);
    const result = new DataView(new ArrayBuffer(32));
    this.#state.forEach((word, i) => result.setUint32(4 * i, word));
    return new Uint8Array(result.buffer);
  }
}

/** Take a block at this place of a DataView into the state (6.2.2). */
function compress(state, words, view, at) {
  for (let i = 0; i < 16; i++) words[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const [far, near] = [words[i - 15], words[i - 2]];
    const first = turn(far, 7) ^ turn(far, 18) ^ (far >>> 3);
    const second = turn(near, 17) ^ turn(near, 19) ^ (near >>> 10);
    words[i] = words[i - 16] + first + words[i - 7] + second;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const upper = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const one = (h + upper + ((e & f) ^ (~e & g)) + ROUNDS[i] + words[i]) | 0;
    const lower = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const other = (lower + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + other) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

function turn(word, bits) {
  return (word >>> bits) | (word << (32 - bits));
}

function primes(count) {
  const found = [];
  for (let one = 2; found.length < count; one++) if (found.every((prime) => one % prime)) found.push(one);
  return found;
}
