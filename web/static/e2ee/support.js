/** Whether this browser has what end-to-end encryption is made of. */

import { generate } from "./signing.js";
import { xwing } from "./xwing.js";

/** Whether keys of every kind can be made and kept here. */
export async function isSupported() {
  if (globalThis.crypto?.subtle === undefined || globalThis.indexedDB === undefined) return false;
  try {
    await Promise.all([generate(), xwing.generate()]);
    return true;
  } catch (error) {
    // A name that WebCrypto does not know, or a method that is not there.
    if (error instanceof DOMException || error instanceof TypeError) return false;
    throw error;
  }
}
