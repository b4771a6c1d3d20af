/** What packages make of the same operations, with nothing of ours. */

import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";

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
    const recipient = await suite.createRecipientContext({ recipientKey, enc: exact(enc), info: exact(info) });
    return new Uint8Array(await recipient.open(exact(sealed)));
  },
};

/** The bytes in a buffer of just their length. */
function exact(bytes) {
  return bytes.slice().buffer;
}
