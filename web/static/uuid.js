/** UUIDs of version 7 (RFC 9562, 5.7), which sort by the time they were made. */

/** A new UUIDv7; time in milliseconds since 1970 and ten random bytes may be given by tests. */
export function uuid7(now = Date.now(), random = crypto.getRandomValues(new Uint8Array(10))) {
  const bytes = new Uint8Array(16);
  bytes.set(random, 6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(now / 2 ** 32));
  view.setUint32(2, now % 2 ** 32);
  bytes[6] = 0x70 | (bytes[6] & 0x0f); // version
  bytes[8] = 0x80 | (bytes[8] & 0x3f); // variant
  return uuidFromBytes(bytes);
}

/** When a UUIDv7 was made, in milliseconds since 1970 by the clock of whoever made it. */
export function timeOf(text) {
  return parseInt(text.replaceAll("-", "").slice(0, 12), 16);
}

/** The 16 bytes of a UUID's text; throws RangeError if it is not one. */
export function uuidToBytes(text) {
  const digits = text.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/i.test(digits)) throw new RangeError("not a UUID");
  return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
}

/** The usual text of 16 bytes; throws RangeError if there are more or fewer. */
export function uuidFromBytes(bytes) {
  if (bytes.length !== 16) throw new RangeError("a UUID has 16 bytes");
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
