/**
 * Sealing a message, and opening it: the envelope that stands in the `data` of a message event.
 *
 * The header is associated data of the AEAD and signed together with the ciphertext, so that the server can
 * neither change a message nor move it. `check` and `checkOrder` refuse what is not the next of its sender.
 */

import { concat, equal, u32 } from "./bytes.js";
import { E2eeError, require } from "./errors.js";
import { EPOCH_BYTES, Place } from "./epoch.js";
import { pad, unpad } from "./padding.js";
import { MAX_MESSAGES, messageKey } from "./ratchet.js";
import * as signing from "./signing.js";
import * as s from "./structures.js";

const MAX_HEADER_BYTES = 1024;
const MAX_ENVELOPE_BYTES = 96 * 1024;
const MIN_CIPHERTEXT_BYTES = 256 + 16;

/** What everyone on the way can read, and nobody can change. */
export const MessageHeader = s.structure({
  room: s.roomId,
  account: s.accountId,
  device: s.deviceId,
  epoch: s.bytes(EPOCH_BYTES),
  index: s.count, // which message of the epoch: 0, 1, 2...
  previous: s.optional(s.count), // the message before it in the epoch
  mid: s.bytes(16), // a UUIDv7
  after: Place, // the last event of the room that the sender had taken in
  session: s.optional(s.sessionId), // in whose live chat it was written
});

const Envelope = s.structure({
  version: s.integer(1, 1),
  header: s.blob(MAX_HEADER_BYTES),
  ciphertext: s.blob(MAX_ENVELOPE_BYTES),
  signature: s.bytes(64),
});

/** The envelope of `content`, with the chain at the header's index; kept and sent again as it is. */
export async function seal(header, chain, content, deviceKey) {
  const packed = s.pack(MessageHeader, header);
  const { key, nonce } = await messageKey(chain);
  const aead = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const parameters = { name: "AES-GCM", iv: nonce, additionalData: packed };
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(parameters, aead, pad(content)));
  const signature = await signing.sign(deviceKey, "message", signed(packed, ciphertext));
  return s.pack(Envelope, { version: 1, header: packed, ciphertext, signature });
}

/** `{envelope, header}` without any proof; throws `malformed` or `truncated`. */
export function read(data) {
  const envelope = s.unpack(Envelope, data, MAX_ENVELOPE_BYTES);
  const header = s.unpack(MessageHeader, envelope.header, MAX_HEADER_BYTES);
  const long = envelope.ciphertext.length >= MIN_CIPHERTEXT_BYTES;
  require(long, "malformed", "the ciphertext is shorter than any");
  return { envelope, header };
}

/**
 * Whether its sender wrote this message for this place. `arrival` is what the server says: `{room, account,
 * device, mid (16 bytes), session, place}`. Throws `wrong_room`, `wrong_sender`, `wrong_message_id`,
 * `wrong_session`, `forged_signature` or `reordered`.
 */
export async function check(envelope, header, arrival, deviceKey) {
  require(header.room === arrival.room, "wrong_room", "it was written for another room");
  const sender = header.account === arrival.account && header.device === arrival.device;
  require(sender, "wrong_sender", "it was written by another device");
  require(equal(header.mid, arrival.mid), "wrong_message_id", "it was written under another id");
  require(header.session === arrival.session, "wrong_session", "it was written in another session");
  const body = signed(envelope.header, envelope.ciphertext);
  const genuine = await signing.verify(deviceKey, "message", body, envelope.signature);
  require(genuine, "forged_signature", "it is not signed by its device");
  require(isBefore(header.after, arrival.place), "reordered", "it stands before what its sender had read");
}

/**
 * Whether it is message `following` of its epoch. Throws `duplicate`, `replayed`, `gap` (with `missing`; it
 * can be opened nevertheless, with the chain forwarded), `epoch_exhausted` or `malformed`.
 */
export function checkOrder({ index, previous }, following) {
  require(index < MAX_MESSAGES, "epoch_exhausted", "the epoch has no more messages");
  const expected = index === 0 ? null : index - 1;
  require(previous === expected, "malformed", "an epoch's messages follow one another");
  require(index !== following - 1, "duplicate", "it is the one opened last");
  require(index >= following, "replayed", "it was opened before");
  if (index > following) {
    const error = new E2eeError("gap", `${index - following} earlier messages of this sender are missing`);
    throw Object.assign(error, { missing: index - following });
  }
}

/** The content of a checked message, with the chain at its index. Throws `tampered` or `bad_content`. */
export async function decrypt(envelope, chain) {
  const { key, nonce } = await messageKey(chain);
  const aead = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const parameters = { name: "AES-GCM", iv: nonce, additionalData: envelope.header };
  let padded;
  try {
    padded = new Uint8Array(await crypto.subtle.decrypt(parameters, aead, envelope.ciphertext));
  } catch (error) {
    throw new E2eeError("tampered", "the ciphertext does not fit its key", { cause: error });
  }
  return unpad(padded);
}

function isBefore(after, place) {
  return after.log === place.log ? after.offset < place.offset : after.log < place.log;
}

function signed(header, ciphertext) {
  return concat(u32(header.length), header, ciphertext);
}
