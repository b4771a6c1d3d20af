/**
 * What tests ask of the modules in `web/static/e2ee`, in the browser and in Node alike: any function, named
 * as `module.function`, whose arguments and results are JSON, with bytes as `{"$bytes": base64}`.
 *
 * What cannot be told, such as keys, stays here under a name that the test gives it. An argument
 * `{"$held": name}` is it again, or a part: `{"$held": "pair.privateKey"}`; `held.name.method` is a method of
 * it. Held from the start are `kem` and `modules`.
 */

import { MemoryKeystore } from "./memory_keystore.js";

const MODULES = [
  "archive", "argon2", "attachments", "blake2b", "content", "device", "epoch", "files", "forms", "hpke",
  "identity", "kdf", "keccak", "keystore", "message", "padding", "prekeys", "ratchet", "sha256", "signing",
  "structures", "xwing", "../blobs", "../harmless",
];

/** `perform(path, args, holdAs)` over the modules at `base`, with another KEM than theirs if one is given. */
export async function operations(base, otherKem = null) {
  const loaded = await Promise.all(MODULES.map((name) => import(`${base}/${name}.js`)));
  const all = Object.fromEntries(MODULES.map((name, i) => [name.replace("../", ""), loaded[i]]));
  const held = { kem: otherKem ?? all.xwing.xwing, modules: all };
  const keystoreOf = async (name) =>
    globalThis.indexedDB === undefined ? new MemoryKeystore() : all.keystore.Keystore.open(name);
  const restored = async (store, prekeys) =>
    new all.device.Device(await store.load(), { store, kem: held.kem, prekeys });
  const extractable = async (store) => keysIn(await store.load()).map((key) => key.extractable);
  const blobsOf = (given) => new all.blobs.Blobs(given);
  const hashOf = (pieces) => {
    const hash = new all.sha256.Sha256();
    for (const piece of pieces) hash.update(piece);
    return hash.digest();
  };
  const made = { keystoreOf, restored, extractable, fileOf, hashOf, giveUpAfter, blobsOf };
  Object.assign(all, { kem: held.kem, shown: (value) => value, ...made });
  return async (path, args, holdAs) => {
    const given = JSON.parse(args, (_, value) => revived(value, held));
    const result = await gathered(call(path.startsWith("held.") ? { held } : all, path, given));
    if (holdAs !== null) held[holdAs] = result;
    return result;
  };
}

/** The JSON of an operation's outcome: `{value}`, or `{error, kind}` when it threw. */
export async function answer(perform, path, args, holdAs) {
  try {
    return JSON.stringify({ value: await withoutBlobs(await perform(path, args, holdAs)) }, replaced);
  } catch (error) {
    const { name, message, stack, kind = null } = error;
    return JSON.stringify({ error: `${name}: ${message}\n${stack}`, kind });
  }
}

/** A Blob, or one in a result, becomes its bytes. */
async function withoutBlobs(result) {
  if (result instanceof Blob) return new Uint8Array(await result.arrayBuffer());
  const { ciphertext } = result ?? {};
  return ciphertext instanceof Blob ? { ...result, ciphertext: await withoutBlobs(ciphertext) } : result;
}

/** A stream of bytes becomes a list. */
async function gathered(result) {
  if (result?.[Symbol.asyncIterator] === undefined) return result;
  const pieces = [];
  for await (const piece of result) pieces.push(piece);
  return pieces;
}

/** A file as people choose one. */
function fileOf(bytes, name, type) {
  return Object.assign(new Blob([bytes], { type }), { name });
}

/** Options of a transfer that is given up once so many bytes are there. */
function giveUpAfter(bytes) {
  const control = new AbortController();
  const progress = (there) => there >= bytes && control.abort(new DOMException("enough", "AbortError"));
  return { signal: control.signal, progress };
}

/** All CryptoKeys in a value. */
function keysIn(value) {
  if (value instanceof CryptoKey) return [value];
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return [];
  return [...(value instanceof Map ? value.values() : Object.values(value))].flatMap(keysIn);
}

/** A method is called on its object. */
function call(root, path, given) {
  const names = path.split(".");
  const name = names.pop();
  return at(root, names.join("."))[name](...given);
}

function at(root, path) {
  if (path === "") return root;
  return path.split(".").reduce((value, name) => value[name], root);
}

export function revived(value, held = {}) {
  if (typeof value?.$held === "string") return at(held, value.$held);
  if (typeof value?.$bytes !== "string") return value;
  return Uint8Array.from(atob(value.$bytes), (character) => character.charCodeAt(0));
}

function replaced(_, value) {
  if (value instanceof Map) return Object.fromEntries(value);
  if (!(value instanceof Uint8Array)) return value;
  return { $bytes: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) };
}
