/** Bytes: joined, compared, counted and written as text. */

const encoder = new TextEncoder();

/** The UTF-8 bytes of a text. */
export function utf8(text) {
  return encoder.encode(text);
}

/** All the parts (Uint8Arrays) in one. */
export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    joined.set(part, position);
    position += part.length;
  }
  return joined;
}

/** Whether two are the same; takes as long for those that differ in the first byte as in the last. */
export function equal(one, other) {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let i = 0; i < one.length; i++) difference |= one[i] ^ other[i];
  return difference === 0;
}

/** Whether two are the same, or both are null. */
export function same(one, other) {
  return one === null || other === null ? one === other : equal(one, other);
}

/** A number as 4 bytes, the highest first. */
export function u32(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

/** Lower-case hexadecimal digits. */
export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the value is bytes, of this length if one is given. */
export function isBytes(value, length = value?.length) {
  return value instanceof Uint8Array && value.length === length;
}

/** Random bytes fit for keys. */
export function random(length) {
  return crypto.getRandomValues(new Uint8Array(length));
}
