/** X-Wing of the package `@hpke/hybridkem-x-wing`, with the methods of a KEM of ours. */

import { XWing } from "@hpke/hybridkem-x-wing";

const theirs = new XWing();

export const peerKem = {
  id: theirs.id,
  async generate() {
    return pair(await theirs.generateKeyPair());
  },
  async fromSeed(seed) {
    return pair(await theirs.generateKeyPairDerand(seed));
  },
  async encapsulate(publicKey) {
    const recipientPublicKey = await theirs.deserializePublicKey(publicKey);
    const { sharedSecret, enc } = await theirs.encap({ recipientPublicKey });
    return { shared: new Uint8Array(sharedSecret), enc: new Uint8Array(enc) };
  },
  async decapsulate(privateKey, enc) {
    return new Uint8Array(await theirs.decap({ recipientKey: privateKey, enc }));
  },
};

async function pair({ publicKey, privateKey }) {
  return { publicKey: new Uint8Array(await theirs.serializePublicKey(publicKey)), privateKey };
}
