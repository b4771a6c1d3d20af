/** What packages make of the same operations, with nothing of ours. */

import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";
import { argon2id } from "@noble/hashes/argon2";

const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const pairs = new Map();

export const theirs = {
  async kemFromSeed(name, seed) {
    pairs.set(name, await suite.kem.generateKeyPairDerand(seed));
    return new Uint8Array(await suite.kem.serializePublicKey(pairs.get(name).publicKey));
  },
  async hpkeSeal(publicKey, info, plaintext) {
    const recipientPublicKey = await suite.kem.deserializePublicKey(publicKey);
    const sender = await suite.createSenderContext({ recipientPublicKey, info: exact(info) });
    const sealed = await sender.seal(exact(plaintext));
    return { enc: new Uint8Array(sender.enc), sealed: new Uint8Array(sealed) };
  },
  async hpkeOpen(name, info, { enc, sealed }) {
    const recipientKey = pairs.get(name).privateKey;
    const around = { recipientKey, enc: exact(enc), info: exact(info) };
    const recipient = await suite.createRecipientContext(around);
    return new Uint8Array(await recipient.open(exact(sealed)));
  },
  argon2id: (passphrase, salt, { passes, memoryKib, lanes, length }) =>
    argon2id(passphrase, salt, { t: passes, m: memoryKib, p: lanes, dkLen: length }),
};

/** The bytes in a buffer of just their length. */
function exact(bytes) {
  return bytes.slice().buffer;
}
