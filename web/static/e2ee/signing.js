/**
 * Ed25519 keys of accounts and devices, and signatures that are good for one purpose only: every signature
 * covers a label that says what was signed.
 */

import { concat, utf8 } from "./bytes.js";

export const PUBLIC_BYTES = 32;
export const SEED_BYTES = 32;
export const SIGNATURE_BYTES = 64;

// RFC 8410: what comes before the 32 bytes of a private Ed25519 key in PKCS #8, the only form for it.
const PKCS8_ED25519 = Uint8Array.of(48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32);

/** A new key that no script can read: `{publicKey, privateKey}`, 32 bytes and a CryptoKey. */
export async function generate() {
  const { publicKey, privateKey } = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
  return { publicKey: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)), privateKey };
}

/** The key of a seed of 32 bytes (RFC 8032, 5.1.5): `{publicKey, privateKey}`. */
export async function fromSeed(seed) {
  const pkcs8 = concat(PKCS8_ED25519, seed);
  // WebCrypto tells the public half only of a key that may be exported.
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", readable);
  const binary = atob(x.replaceAll("-", "+").replaceAll("_", "/"));
  return {
    publicKey: Uint8Array.from(binary, (character) => character.charCodeAt(0)),
    privateKey: await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]),
  };
}

/** The 64 bytes of a signature over `body` for the purpose `label`. */
export async function sign(privateKey, label, body) {
  return new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, labelled(label, body)));
}

/** Whether the holder of the key of these 32 bytes signed `body` for the purpose `label`. */
export async function verify(publicKey, label, body, signature) {
  if (publicKey.length !== PUBLIC_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", true, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, labelled(label, body));
  } catch (error) {
    if (error instanceof DOMException) return false; // 32 bytes that are no point of the curve
    throw error;
  }
}

function labelled(label, body) {
  return concat(utf8(`rapport/v1/${label}\0`), body);
}
