/**
 * Messages on their way to the server: kept until answered, sent in order, and sent again with the same `mid`
 * after every lost reply, which the server stores once.
 *
 * One message is in flight at a time. People type slower than a round trip, and so a message that has to
 * be repeated can never be overtaken by the one written after it.
 */

import { ConnectionLost } from "./requests.js";
import { uuid7 } from "./uuid.js";

const MAX_WAITING = 1000; // full: `add` refuses, and the app keeps the text where it was typed

export class OutboxFull extends Error {}

export class Outbox {
  #waiting = [];
  #running = false;
  #storage;
  #request;
  #backoff;

  /** `request(op, fields)` gives the reply; `backoff` spaces the repetitions of what was refused for now. */
  constructor(storage, request, backoff) {
    this.#storage = storage;
    this.#request = request;
    this.#backoff = backoff;
  }

  /** Take over what an earlier life of this device left unanswered. */
  restore(messages) {
    for (const message of messages) this.#enqueue(message).done.catch(() => undefined);
  }

  /** Queue a message: `{mid, done}`, where `done` is a promise of `{epoch, offset, at_ms}` or its refusal. */
  add(room, data, session) {
    if (this.#waiting.length >= MAX_WAITING) throw new OutboxFull("too many messages wait for the server");
    const entry = this.#enqueue({ mid: uuid7(), room, data, session });
    entry.kept = this.#storage.keep(entry.message);
    this.flush();
    return { mid: entry.message.mid, done: entry.done };
  }

  /** Send what is waiting, for as long as the connection holds. Call it after every `welcome`. */
  async flush() {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#waiting.length > 0 && (await this.#attempt(this.#waiting[0]))) this.#waiting.shift();
    } finally {
      this.#running = false;
    }
  }

  #enqueue(message) {
    const entry = { message, kept: Promise.resolve() };
    entry.done = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    this.#waiting.push(entry);
    return entry;
  }

  /** Whether the message is answered for good; if not, the connection is gone, and `flush` will go on. */
  async #attempt(entry) {
    try {
      await entry.kept;
      entry.resolve(await this.#untilDecided(entry.message));
    } catch (error) {
      if (error instanceof ConnectionLost) return false;
      entry.reject(error);
    }
    await this.#storage.drop(entry.message.mid);
    return true;
  }

  async #untilDecided(message) {
    for (;;) {
      try {
        const sent = await this.#request("message.send", message);
        this.#backoff.reset();
        return sent;
      } catch (error) {
        if (!error.temporary || error instanceof ConnectionLost) throw error;
        // Refused for the moment, or NoReply: the same `mid` again is safe.
        const wait = Math.max(error.retryAfterMs ?? 0, this.#backoff.next());
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }
}
