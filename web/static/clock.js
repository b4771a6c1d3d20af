/**
 * The session's clock as the server tells it: a device whose own clock is wrong counts down correctly.
 *
 * Instants are milliseconds since 1970, as on the wire; `elapsed` is a monotonic clock in milliseconds.
 */

/** Two readings that differ by more are not explained by the network: the later one counts. */
const STEP_MS = 1000;

export class ServerClock {
  #elapsed;
  #offset = null;

  constructor(elapsed = () => performance.now()) {
    this.#elapsed = elapsed;
  }

  /** It was `serverNow` as the server sent this. Of several, the one that was under way shortest counts. */
  sync(serverNow) {
    const offset = serverNow - this.#elapsed();
    const stepped = this.#offset === null || Math.abs(offset - this.#offset) > STEP_MS;
    if (stepped || offset > this.#offset) this.#offset = offset;
  }

  /** The server's time now; this device's own before the first `sync`. */
  now() {
    return this.#offset === null ? Date.now() : this.#elapsed() + this.#offset;
  }

  /** Milliseconds until an instant; 0 once it has passed. */
  until(instant) {
    return Math.max(0, instant - this.now());
  }
}

/** "24:07": minutes and seconds, of the second that is running. */
export function exactTime(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** "25 minutes": as much as one wants to know while talking about something else. */
export function roundTime(milliseconds) {
  const minutes = Math.ceil(milliseconds / 60_000);
  if (milliseconds <= 60_000) return "less than a minute";
  return `${minutes} minutes`;
}
