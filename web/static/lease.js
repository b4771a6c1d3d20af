/**
 * How long a person's link lasts, and how it goes on: the page that opened this one is asked for a fresh link in
 * good time, and answers by opening it in the same window. Nothing secret is asked for or told by message.
 */

/** So long before the end of the link its opener is asked for another one. */
const ASK_MS = 5 * 60_000;

/** So long before, the person is told, because nobody has answered. */
const WARN_MS = 2 * 60_000;

/** When a token runs out, in milliseconds since 1970; Infinity when it does not say. */
export function expiryOf(token) {
  const { exp } = claimsOf(token);
  return Number.isFinite(exp) ? exp * 1000 : Infinity;
}

/** Whose a token is; null when it does not say. */
export function accountOf(token) {
  const { sub } = claimsOf(token);
  return typeof sub === "string" ? sub : null;
}

/** What a token says; nothing when it cannot be read here. */
function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)) ?? {};
  } catch (error) {
    // Not a token that can be read here: TypeError, SyntaxError or the InvalidCharacterError of `atob`.
    if (error instanceof TypeError || error instanceof SyntaxError || error instanceof DOMException) return {};
    throw error;
  }
}

export class Lease {
  #expires;
  #asked = false;
  #warned = false;

  constructor(token) {
    this.renew(token);
  }

  /** Go on with this token. */
  renew(token) {
    this.#expires = expiryOf(token);
    this.#asked = this.#warned = false;
  }

  /** Whether the person has been told that the link runs out. */
  get warned() {
    return this.#warned;
  }

  /**
   * What is due now in a session until `end`, each once: `ask(expires)` for another link, `warn(expires)` that
   * none has come. All in milliseconds since 1970.
   */
  look(now, end, { ask, warn }) {
    if (this.#expires >= end) return;
    const left = this.#expires - now;
    if (left < ASK_MS && !this.#asked) {
      this.#asked = true;
      ask(this.#expires);
    }
    if (left < WARN_MS && !this.#warned) {
      this.#warned = true;
      warn(this.#expires);
    }
  }
}
