/**
 * How the structures of end-to-end encryption become bytes: MessagePack arrays, fields in fixed order.
 *
 * In JavaScript a structure is an object with these fields. What is signed travels as the bytes that were
 * signed and is read from them; nothing is encoded again to be checked.
 */

import * as msgpack from "../msgpack.js";
import { isBytes } from "./bytes.js";
import { E2eeError } from "./errors.js";

const MAX_BYTES = 256 * 1024;

// --- Types: each reads and writes one value, or throws `malformed` ---------------------------------------

/** Text of `min` to `max` characters (code points). */
export const text = (max, min = 1) =>
  plain((value) => typeof value === "string" && between(min, [...value].length, max));

/** Bytes of just this length. */
export const bytes = (length) => plain((value) => isBytes(value, length));

/** Bytes of at most this length. */
export const blob = (max) => plain((value) => isBytes(value) && value.length <= max);

/** A whole number in these bounds. */
export const integer = (min = 0, max = Number.MAX_SAFE_INTEGER) =>
  plain((value) => Number.isSafeInteger(value) && between(min, value, max));

export const boolean = plain((value) => typeof value === "boolean");

/** The type, or null. */
export const optional = (type) => ({
  read: (value) => (value === null ? null : type.read(value)),
  write: (value) => (value === null ? null : type.write(value)),
});

/** An array of `min` to `max` values of one type. */
export const list = (type, max, min = 0) => ({
  read: (value) => checkedArray(value, min, max).map(type.read),
  write: (value) => checkedArray(value, min, max).map(type.write),
});

/** A structure: `fields` maps names to types in the order of the bytes. */
export const structure = (fields) => {
  const entries = Object.entries(fields);
  return {
    read(value) {
      checkedArray(value, entries.length, entries.length);
      return Object.fromEntries(entries.map(([name, type], i) => [name, type.read(value[i])]));
    },
    write: (value) => entries.map(([name, type]) => type.write(value[name])),
  };
};

/**
 * A map, as contents are: `fields` maps names to types. A field that is absent has its value in `defaults`;
 * one that is not named here is passed over, as a newer app may have added it.
 */
export const map = (fields, defaults = {}) => {
  const entries = Object.entries(fields);
  const given = (value, name) => (value[name] === undefined ? defaults[name] : value[name]);
  const converted = (value, how) => {
    const isMap = value !== null && typeof value === "object" && !Array.isArray(value) && !isBytes(value);
    if (!isMap) throw malformed();
    return Object.fromEntries(entries.map(([name, type]) => [name, type[how](given(value, name))]));
  };
  return { read: (value) => converted(value, "read"), write: (value) => converted(value, "write") };
};

export const accountId = text(128);
export const deviceId = text(64);
export const roomId = text(64);
export const sessionId = text(64);
export const count = integer();

// --- Bytes -----------------------------------------------------------------------------------------------

/** The bytes of a value of this type, in the shortest encoding. */
export function pack(type, value) {
  return msgpack.encode(type.write(value));
}

/** The value; throws E2eeError `truncated` when the bytes end too early, `malformed` for anything else. */
export function unpack(type, data, maxBytes = MAX_BYTES) {
  if (data.length > maxBytes) throw malformed(`${data.length} bytes, ${maxBytes} are allowed`);
  return type.read(decoded(data));
}

/** A value without a declared type, with the same errors as `unpack`. */
export function decoded(data) {
  try {
    return msgpack.decode(data);
  } catch (error) {
    if (!(error instanceof msgpack.MsgpackError)) throw error;
    if (error.cause instanceof RangeError) throw new E2eeError("truncated", "the bytes were cut short");
    throw malformed();
  }
}

/** In the order of code points, in which lists are sorted; JavaScript's own order differs beyond U+FFFF. */
export function compareText(one, other) {
  const [left, right] = [[...one], [...other]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (left[i] !== right[i]) return left[i].codePointAt(0) - right[i].codePointAt(0);
  }
  return left.length - right.length;
}

function plain(holds) {
  const checked = (value) => {
    if (!holds(value)) throw malformed();
    return value;
  };
  return { read: checked, write: checked };
}

function checkedArray(value, min, max) {
  if (!Array.isArray(value) || !between(min, value.length, max)) throw malformed();
  return value;
}

function between(min, value, max) {
  return min <= value && value <= max;
}

function malformed(detail = "the bytes are not such a structure") {
  return new E2eeError("malformed", detail);
}
