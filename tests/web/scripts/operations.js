/**
 * What tests ask of the modules in `web/static/e2ee`, in the browser and in Node alike: any function, named
 * as `module.function`, whose arguments and results are JSON, with bytes as `{"$bytes": base64}`.
 *
 * What cannot be told, such as keys, stays here under a name that the test gives it. An argument
 * `{"$held": name}` is it again, or a part: `{"$held": "pair.privateKey"}`. Held from the start are `kem` and
 * `modules`.
 */

const MODULES = [
  "archive", "argon2", "attachments", "blake2b", "content", "epoch", "forms", "hpke", "identity", "kdf",
  "keccak", "message", "padding", "prekeys", "ratchet", "signing", "structures", "xwing",
];

/** `perform(path, args, holdAs)` over the modules at `base`, with another KEM than theirs if one is given. */
export async function operations(base, otherKem = null) {
  const loaded = await Promise.all(MODULES.map((name) => import(`${base}/${name}.js`)));
  const all = Object.fromEntries(MODULES.map((name, i) => [name, loaded[i]]));
  const held = { kem: otherKem ?? all.xwing.xwing, modules: all };
  Object.assign(all, { kem: held.kem, shown: (value) => value });
  return async (path, args, holdAs) => {
    const given = JSON.parse(args, (_, value) => revived(value, held));
    const result = await gathered(at(all, path)(...given));
    if (holdAs !== null) held[holdAs] = result;
    return result;
  };
}

/** The JSON of an operation's outcome: `{value}`, or `{error, kind}` when it threw. */
export async function answer(perform, path, args, holdAs) {
  try {
    return JSON.stringify({ value: await perform(path, args, holdAs) }, replaced);
  } catch (error) {
    const { name, message, stack, kind = null } = error;
    return JSON.stringify({ error: `${name}: ${message}\n${stack}`, kind });
  }
}

/** A stream of bytes becomes a list. */
async function gathered(result) {
  if (result?.[Symbol.asyncIterator] === undefined) return result;
  const pieces = [];
  for await (const piece of result) pieces.push(piece);
  return pieces;
}

function at(root, path) {
  return path.split(".").reduce((value, name) => value[name], root);
}

export function revived(value, held = {}) {
  if (typeof value?.$held === "string") return at(held, value.$held);
  if (typeof value?.$bytes !== "string") return value;
  return Uint8Array.from(atob(value.$bytes), (character) => character.charCodeAt(0));
}

function replaced(_, value) {
  if (!(value instanceof Uint8Array)) return value;
  return { $bytes: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) };
}
