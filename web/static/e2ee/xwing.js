/**
 * X-Wing (draft-connolly-cfrg-xwing-kem): a key encapsulation that holds as long as one of ML-KEM-768 and
 * X25519 does. Both come from WebCrypto, with private keys that no script can read; only SHA-3 is ours.
 *
 * A KEM is any object with the methods and numbers of this one. Where WebCrypto has no ML-KEM, an app may
 * pass another, such as a wrapped package.
 */

import { concat, utf8 } from "./bytes.js";
import { E2eeError } from "./errors.js";
import { sha3_256, shake256 } from "./keccak.js";

const ML_KEM_PUBLIC = 1184;
const ML_KEM_ENC = 1088;
const LABEL = utf8("\\.//^\\");
const BASE_POINT = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 9 : 0));

// RFC 8410: what comes before the 32 bytes of a private X25519 key in PKCS #8, the only form for it.
const PKCS8_X25519 = Uint8Array.of(48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32);

export const PUBLIC_BYTES = 1216;
export const ENC_BYTES = 1120;
export const SEED_BYTES = 32;

export const xwing = {
  /** The number of this KEM among HPKE's (RFC 9180, 7.1). */
  id: 0x647a,

  /** A new pair: `{publicKey, privateKey}`, 1,216 bytes and what `decapsulate` takes; both can be stored. */
  async generate() {
    const [mlkem, x25519] = await Promise.all([
      crypto.subtle.generateKey("ML-KEM-768", false, ["encapsulateBits", "decapsulateBits"]),
      crypto.subtle.generateKey("X25519", false, ["deriveBits"]),
    ]);
    const halves = await Promise.all([
      crypto.subtle.exportKey("raw-public", mlkem.publicKey),
      crypto.subtle.exportKey("raw", x25519.publicKey),
    ]);
    return pair(mlkem.privateKey, x25519.privateKey, ...halves);
  },

  /** The pair that follows from a seed of 32 bytes. */
  async fromSeed(seed) {
    const expanded = shake256(seed, 96);
    const mlkem = await crypto.subtle.importKey("raw-seed", expanded.subarray(0, 64), "ML-KEM-768", false, [
      "decapsulateBits",
    ]);
    const x25519 = await importX25519(expanded.subarray(64));
    const mlkemPublic = await crypto.subtle.getPublicKey(mlkem, ["encapsulateBits"]);
    return pair(
      mlkem,
      x25519,
      await crypto.subtle.exportKey("raw-public", mlkemPublic),
      await diffieHellman(x25519, BASE_POINT),
    );
  },

  /** A fresh secret for the holder of the private key: `{shared, enc}`, 32 and 1,120 bytes. */
  async encapsulate(publicKey) {
    return guarded("malformed", async () => {
      const x25519Public = publicKey.subarray(ML_KEM_PUBLIC);
      const mlkemPublic = await crypto.subtle.importKey(
        "raw-public", publicKey.subarray(0, ML_KEM_PUBLIC), "ML-KEM-768", true, ["encapsulateBits"],
      );
      const { sharedKey, ciphertext } = await crypto.subtle.encapsulateBits("ML-KEM-768", mlkemPublic);
      const ephemeral = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
      const ephemeralPublic = new Uint8Array(await crypto.subtle.exportKey("raw", ephemeral.publicKey));
      const agreed = await diffieHellman(ephemeral.privateKey, x25519Public);
      const shared = combine(new Uint8Array(sharedKey), agreed, ephemeralPublic, x25519Public);
      return { shared, enc: concat(new Uint8Array(ciphertext), ephemeralPublic) };
    });
  },

  /** The secret that `enc` carries for the holder of this private key. */
  async decapsulate(privateKey, enc) {
    return guarded("unreadable_slot", async () => {
      const ephemeralPublic = enc.subarray(ML_KEM_ENC);
      const ciphertext = enc.subarray(0, ML_KEM_ENC);
      const sharedKey = await crypto.subtle.decapsulateBits("ML-KEM-768", privateKey.mlkem, ciphertext);
      const agreed = await diffieHellman(privateKey.x25519, ephemeralPublic);
      return combine(new Uint8Array(sharedKey), agreed, ephemeralPublic, privateKey.x25519Public);
    });
  },
};

function pair(mlkem, x25519, mlkemPublic, x25519Public) {
  const ownPublic = new Uint8Array(x25519Public);
  return {
    publicKey: concat(new Uint8Array(mlkemPublic), ownPublic),
    privateKey: { mlkem, x25519, x25519Public: ownPublic },
  };
}

function combine(mlkemShared, x25519Shared, ephemeralPublic, x25519Public) {
  return sha3_256(concat(mlkemShared, x25519Shared, ephemeralPublic, x25519Public, LABEL));
}

function importX25519(scalar) {
  return crypto.subtle.importKey("pkcs8", concat(PKCS8_X25519, scalar), "X25519", false, ["deriveBits"]);
}

async function diffieHellman(privateKey, publicBytes) {
  const key = await crypto.subtle.importKey("raw", publicBytes, "X25519", true, []);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: key }, privateKey, 256));
}

async function guarded(kind, work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw new E2eeError(kind, "WebCrypto refused the key or the encapsulation", { cause: error });
  }
}
