/**
 * What stands inside a message: `[type, {fields}]`, declared by its sender and unseen by the server.
 *
 * In JavaScript a content is `{type, ...fields}`, with the fields' names as on the wire. A type that is not
 * known here is no error: the app says that a newer one can show it.
 */

import { encode } from "../msgpack.js";
import { E2eeError } from "./errors.js";
import { Definition } from "./forms.js";
import * as s from "./structures.js";

const name = s.text(255, 0);
const anyText = s.text(Infinity, 0);

const TYPES = {
  text: s.map({ text: anyText }),
  attachment: s.map({
    blob: s.bytes(32), // SHA-256 of the ciphertext, which names it at the server
    key: s.bytes(32), // of `attachments.js`
    size: s.integer(0, 2 ** 40), // of the file itself
    name,
    media_type: name, // RFC 6838; not to be trusted
  }),
  form: s.map({ definition: Definition, due_ms: s.optional(s.count) }, { due_ms: null }),
  form_result: s.map(
    {
      form: s.text(64, 0),
      version: s.integer(Number.MIN_SAFE_INTEGER),
      answers: s.list(s.integer(0, 9), 100), // for each item the number of the choice, from 0
      total: s.integer(Number.MIN_SAFE_INTEGER),
      band: s.text(64, 0),
      answer_to: s.optional(s.bytes(16)), // the `mid` of the message with the form
    },
    { answer_to: null },
  ),
};

const Outer = s.structure({ type: s.text(64, 0), body: { read: (value) => value } });

/** The bytes that are padded and sealed, of a content of a type known here. */
export function encodeContent({ type, ...fields }) {
  if (!Object.hasOwn(TYPES, type)) throw new RangeError(`there is no content of type ${type}`);
  return encode([type, TYPES[type].write(fields)]);
}

/** The content; `{type, unknown: true}` if a newer app wrote it. Throws `bad_content` when it is none. */
export function decodeContent(data) {
  try {
    const { type, body } = Outer.read(s.decoded(data));
    return Object.hasOwn(TYPES, type) ? { type, ...TYPES[type].read(body) } : { type, unknown: true };
  } catch (error) {
    if (!(error instanceof E2eeError)) throw error;
    throw new E2eeError("bad_content", "the content inside is not well-formed", { cause: error });
  }
}
