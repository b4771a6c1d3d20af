/** How long to wait before trying again: exponential, with full jitter, so that a crowd spreads out. */
export class Backoff {
  #attempt = 0;
  #options;

  /** Times in milliseconds; `random` gives numbers from 0 to 1. */
  constructor({ baseMs, capMs, random = Math.random }) {
    this.#options = { baseMs, capMs, random };
  }

  /** Milliseconds until the next attempt, each drawn from twice the range of the last, up to the cap. */
  next() {
    const { baseMs, capMs, random } = this.#options;
    return random() * Math.min(capMs, baseMs * 2 ** this.#attempt++);
  }

  /** It worked: begin again with short waits. */
  reset() {
    this.#attempt = 0;
  }
}
