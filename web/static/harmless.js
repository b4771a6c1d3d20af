/**
 * What of a received file can be trusted: nothing that its sender says. Which picture it is stands in its own
 * first bytes, and its name is made one that no folder and no reader is misled by.
 */

const HEAD_BYTES = 12;
const NAME_CHARACTERS = 120;

/** Characters that cannot be seen, or turn the direction of writing around; halves of characters. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** What browsers show without running anything; each by the bytes it begins with, where -1 is any byte. */
const PICTURES = {
  "image/png": [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  "image/jpeg": [0xff, 0xd8, 0xff],
  "image/gif": [0x47, 0x49, 0x46, 0x38],
  "image/webp": [0x52, 0x49, 0x46, 0x46, -1, -1, -1, -1, 0x57, 0x45, 0x42, 0x50],
};

/** Whether a declared type is one of a picture that could be shown. */
export function isPicture(mediaType) {
  return Object.hasOwn(PICTURES, mediaType);
}

/** The type of the picture that a Blob is; null for everything else. */
export async function pictureType(blob) {
  const head = new Uint8Array(await blob.slice(0, HEAD_BYTES).arrayBuffer());
  const fits = ([, pattern]) => pattern.every((byte, i) => byte === -1 || byte === head[i]);
  return Object.entries(PICTURES).find(fits)?.[0] ?? null;
}

/**
 * A name under which a file can be shown and saved: without folders, what cannot be seen, and the dots and
 * blanks at the ends that systems hide or drop.
 */
export function harmlessName(name) {
  const visible = name.replace(HIDDEN, "");
  const plain = visible.replace(/[/\\:*?"<>|]/g, "_").replace(/^[\s.]+|[\s.]+$/g, "");
  if (plain.length <= NAME_CHARACTERS) return plain || "file";
  const ending = /\.[^.]{1,15}$/.exec(plain)?.[0] ?? "";
  return `${plain.slice(0, NAME_CHARACTERS - ending.length - 1).replace(HIDDEN, "")}…${ending}`;
}
