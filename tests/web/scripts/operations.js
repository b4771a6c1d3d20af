/**
 * What tests ask of the modules in `web/static/e2ee`, in the browser and in Node alike: functions by name, whose
 * arguments and results are JSON, with bytes as `{"$bytes": base64}`.
 *
 * Keys that cannot be told stay here, under the names that the tests give them.
 */

const held = new Map();

/** `perform(name, args)` over the modules at `base`, with another KEM than theirs if one is given. */
export async function operations(base, otherKem = null) {
  const load = (name) => import(`${base}/${name}.js`);
  const [keccak, { xwing }, hpke, kdf, signing] = await Promise.all(
    ["keccak", "xwing", "hpke", "kdf", "signing"].map(load),
  );
  const kem = otherKem ?? xwing;
  const all = {
    sha3_256: keccak.sha3_256,
    shake256: keccak.shake256,

    async kemGenerate(name) {
      return hold(name, await kem.generate());
    },
    async kemFromSeed(name, seed) {
      return hold(name, await kem.fromSeed(seed));
    },
    kemEncapsulate: (publicKey) => kem.encapsulate(publicKey),
    kemDecapsulate: (name, enc) => kem.decapsulate(held.get(name).privateKey, enc),
    hpkeSeal: (publicKey, info, plaintext) => hpke.seal(kem, publicKey, info, plaintext),
    hpkeOpen: (name, info, message) => hpke.open(kem, held.get(name).privateKey, info, message),

    hkdf: async (salt, ikm, info, length) =>
      kdf.expand(await kdf.secretKey(await kdf.extract(salt, ikm)), info, length),

    async signingGenerate(name) {
      return hold(name, await signing.generate());
    },
    async signingFromSeed(name, seed) {
      return hold(name, await signing.fromSeed(seed));
    },
    sign: (name, label, body) => signing.sign(held.get(name).privateKey, label, body),
    verify: signing.verify,
  };
  return (name, args) => all[name](...args);
}

/** The JSON of an operation's outcome: `{value}`, or `{error, kind}` when it threw. */
export async function answer(perform, name, args) {
  try {
    return JSON.stringify({ value: await perform(name, JSON.parse(args, revive)) }, replace);
  } catch (error) {
    return JSON.stringify({ error: `${error.name}: ${error.message}\n${error.stack}`, kind: error.kind ?? null });
  }
}

function hold(name, pair) {
  held.set(name, pair);
  return pair.publicKey;
}

function revive(_, value) {
  return typeof value?.$bytes === "string"
    ? Uint8Array.from(atob(value.$bytes), (character) => character.charCodeAt(0))
    : value;
}

function replace(_, value) {
  if (!(value instanceof Uint8Array)) return value;
  return { $bytes: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) };
}
