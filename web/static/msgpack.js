/**
 * MessagePack for the values that frames are made of: null, booleans, numbers, text, bytes, lists and maps.
 *
 * Integers are exact up to 2^53 - 1 and larger ones are refused, as are extension types, which no frame has.
 * A map becomes an object without a prototype, so that no key of it can mean anything to the language.
 */

/** The bytes are not MessagePack, or hold what no frame holds. */
export class MsgpackError extends Error {}

const MAX_DEPTH = 64;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The MessagePack bytes of a value, each number and length in its shortest form. */
export function encode(value) {
  const out = [];
  write(out, value, 0);
  return Uint8Array.from(out);
}

/** The value that `bytes` (a Uint8Array) hold; throws MsgpackError unless they hold exactly one. */
export function decode(bytes) {
  const reader = new Reader(bytes);
  try {
    const value = reader.value(0);
    if (reader.position === bytes.length) return value;
  } catch (error) {
    // RangeError: a length that points past the end. TypeError: text that is not UTF-8.
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new MsgpackError(error.message, { cause: error });
  }
  throw new MsgpackError("there are bytes after the value");
}

function write(out, value, depth) {
  if (depth > MAX_DEPTH) throw new MsgpackError("nested too deeply");
  if (value === null || value === undefined) out.push(0xc0);
  else if (typeof value === "boolean") out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === "number") writeNumber(out, value);
  else if (typeof value === "string") writeText(out, value);
  else if (value instanceof Uint8Array) writeBytes(header(out, value.length, [0xc4, 0xc5, 0xc6]), value);
  else if (Array.isArray(value)) {
    header(out, value.length, [null, 0xdc, 0xdd], 0x90, 16);
    for (const item of value) write(out, item, depth + 1);
  } else if (typeof value === "object") {
    // A key whose value is undefined is left out, as JSON.stringify does.
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    header(out, entries.length, [null, 0xde, 0xdf], 0x80, 16);
    for (const [key, inner] of entries) {
      writeText(out, key);
      write(out, inner, depth + 1);
    }
  } else throw new MsgpackError(`a ${typeof value} cannot be encoded`);
}

function writeText(out, text) {
  const bytes = new TextEncoder().encode(text);
  writeBytes(header(out, bytes.length, [0xd9, 0xda, 0xdb], 0xa0, 32), bytes);
}

function writeBytes(out, bytes) {
  for (const byte of bytes) out.push(byte);
}

function writeNumber(out, value) {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    out.push(0xcb);
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    writeBytes(out, new Uint8Array(view.buffer));
  } else if (value >= 2 ** 32) integer(out, 0xcf, 8, value);
  else if (value >= 0) header(out, value, [0xcc, 0xcd, 0xce], 0, 0x80);
  else if (value >= -32) integer(out, null, 1, value);
  else if (value >= -0x80) integer(out, 0xd0, 1, value);
  else if (value >= -0x8000) integer(out, 0xd1, 2, value);
  else if (value >= -0x80000000) integer(out, 0xd2, 4, value);
  else integer(out, 0xd3, 8, value);
}

/** A length or number in its shortest form: within the tag below `limit`, or after one of three tags. */
function header(out, value, [tag8, tag16, tag32], tiny = 0, limit = 0) {
  if (value < limit) out.push(tiny | value);
  else if (value < 0x100 && tag8) integer(out, tag8, 1, value);
  else if (value < 0x10000) integer(out, tag16, 2, value);
  else integer(out, tag32, 4, value);
  return out;
}

/** Big-endian in `size` bytes, two's complement; dividing by powers of two keeps all 53 bits. */
function integer(out, tag, size, value) {
  if (tag !== null) out.push(tag);
  for (let i = size - 1; i >= 0; i--) out.push(Math.floor(value / 256 ** i) & 0xff);
}

class Reader {
  position = 0;

  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(depth) {
    if (depth > MAX_DEPTH) throw new MsgpackError("nested too deeply");
    const tag = this.take(1, "getUint8");
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.list(tag & 0x0f, depth);
    if (tag < 0xc0) return utf8.decode(this.slice(tag & 0x1f));
    if (tag >= 0xe0) return tag - 0x100;
    return this.tagged(tag, depth);
  }

  tagged(tag, depth) {
    switch (tag) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.slice(this.size(tag - 0xc4)).slice();
      case 0xca: return this.take(4, "getFloat32");
      case 0xcb: return this.take(8, "getFloat64");
      case 0xcc: case 0xcd: case 0xce: return this.size(tag - 0xcc);
      case 0xcf: return exact(this.take(8, "getBigUint64"));
      case 0xd0: return this.take(1, "getInt8");
      case 0xd1: return this.take(2, "getInt16");
      case 0xd2: return this.take(4, "getInt32");
      case 0xd3: return exact(this.take(8, "getBigInt64"));
      case 0xd9: case 0xda: case 0xdb: return utf8.decode(this.slice(this.size(tag - 0xd9)));
      case 0xdc: case 0xdd: return this.list(this.size(tag - 0xdb), depth);
      case 0xde: case 0xdf: return this.map(this.size(tag - 0xdd), depth);
      default: throw new MsgpackError(`no frame has the type 0x${tag.toString(16)}`);
    }
  }

  /** An unsigned number of 1, 2 or 4 bytes: `form` is 0, 1 or 2. */
  size(form) {
    return this.take(1 << form, ["getUint8", "getUint16", "getUint32"][form]);
  }

  /** Grows with what was read, never with what a length promises. */
  list(length, depth) {
    const items = [];
    for (let i = 0; i < length; i++) items.push(this.value(depth + 1));
    return items;
  }

  map(length, depth) {
    const object = Object.create(null);
    for (let i = 0; i < length; i++) {
      const key = this.value(depth + 1);
      if (typeof key !== "string") throw new MsgpackError("a key is not text");
      object[key] = this.value(depth + 1);
    }
    return object;
  }

  take(size, getter) {
    const value = this.view[getter](this.position);
    this.position += size;
    return value;
  }

  slice(length) {
    if (this.position + length > this.bytes.length) throw new RangeError("the bytes end within a value");
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }
}

function exact(big) {
  const value = Number(big);
  if (!Number.isSafeInteger(value)) throw new MsgpackError("the integer is not exact");
  return value;
}
