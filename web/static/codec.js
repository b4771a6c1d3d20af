/**
 * Frames to WebSocket messages and back, in the two subprotocols of the server.
 *
 * A frame is a plain object with an `op`, the same in both: bytes are a Uint8Array, and a message id is the
 * usual text of a UUID. JSON has no bytes, so there they travel as base64; MessagePack has them, so there a
 * UUID travels as its 16 bytes.
 */

import * as msgpack from "./msgpack.js";
import { uuidFromBytes, uuidToBytes } from "./uuid.js";

/** The message is not a frame. */
export class CodecError extends Error {}

export const MSGPACK = "rapport.v1.msgpack";
export const JSON_TWIN = "rapport.v1.json";

/** The subprotocols to offer, the preferred one first. */
export const SUBPROTOCOLS = [MSGPACK, JSON_TWIN];

/** The WebSocket message (an ArrayBuffer view or text) of a frame. */
export function encode(frame, subprotocol) {
  if (subprotocol === MSGPACK) return msgpack.encode(converted(frame, { mid: uuidToBytes }));
  return JSON.stringify(converted(frame, { data: toBase64 }));
}

/** The frame of a WebSocket message (an ArrayBuffer or text); throws CodecError if there is none. */
export function decode(message, subprotocol) {
  const frame = subprotocol === MSGPACK ? fromMsgpack(message) : fromJson(message);
  if (typeof frame?.op !== "string") throw new CodecError("the message is not a frame");
  return frame;
}

function fromMsgpack(message) {
  if (!(message instanceof ArrayBuffer)) throw new CodecError("MessagePack travels in binary messages");
  return guarded(() => converted(msgpack.decode(new Uint8Array(message)), { mid: uuidFromBytes }));
}

function fromJson(message) {
  if (typeof message !== "string") throw new CodecError("JSON travels in text messages");
  return guarded(() => converted(JSON.parse(message), { data: fromBase64 }));
}

function guarded(decoder) {
  try {
    return decoder();
  } catch (error) {
    throw new CodecError(error.message, { cause: error });
  }
}

/** The same value with the fields of these names converted, at any depth. */
function converted(value, fields) {
  if (Array.isArray(value)) return value.map((item) => converted(item, fields));
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  const result = Object.create(null);
  for (const [key, inner] of Object.entries(value)) {
    const convert = fields[key];
    result[key] = convert && isLeaf(inner) ? convert(inner) : converted(inner, fields);
  }
  return result;
}

/** Only text and bytes are converted: a room that is called "data" is a key of a map, not a field. */
function isLeaf(value) {
  return typeof value === "string" || value instanceof Uint8Array;
}

function toBase64(bytes) {
  let binary = "";
  // In slices, because a call takes a limited number of arguments.
  for (let i = 0; i < bytes.length; i += 4096) binary += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(binary);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
