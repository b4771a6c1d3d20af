/** Padding, so that sizes tell little: up to 256, 512 or 1,024 bytes, then to a multiple of 1,024. */

import { require } from "./errors.js";

const STEP = 1024;
const SMALL = [256, 512];
const MARK = 0x80;

/** The content, one byte 0x80, and zeros. */
export function pad(content) {
  const padded = new Uint8Array(paddedSize(content.length));
  padded.set(content);
  padded[content.length] = MARK;
  return padded;
}

/** The inverse of `pad`; throws `bad_content` when it was not padded so. */
export function unpad(padded) {
  const end = padded.findLastIndex((byte) => byte !== 0);
  const wellFormed = padded[end] === MARK && paddedSize(end) === padded.length;
  require(wellFormed, "bad_content", "the padding is not well-formed");
  return padded.slice(0, end);
}

function paddedSize(length) {
  const needed = length + 1;
  return SMALL.find((size) => needed <= size) ?? Math.ceil(needed / STEP) * STEP;
}
