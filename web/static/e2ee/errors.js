/** What goes wrong with keys and messages; every kind has a name that apps can rely on. */

/** `kind` is the stable name; the message is for developers and holds neither keys nor content. */
export class E2eeError extends Error {
  constructor(kind, detail, options) {
    super(`${kind}: ${detail}`, options);
    this.kind = kind;
  }
}

/** Throw an E2eeError unless `condition` holds. */
export function require(condition, kind, detail) {
  if (!condition) throw new E2eeError(kind, detail);
}
