/**
 * Blobs over HTTP: uploads that go on where a lost connection left them, and downloads that do so too.
 *
 * What the bytes are is left to others: `e2ee/files.js` makes ciphertext of files.
 */

import { Backoff } from "./backoff.js";
import { RequestError } from "./requests.js";

const DEVICE_HEADER = "Rapport-Device";

/** Refusals after which the same upload can be gone on with: asking anew tells where it stands. */
const GO_ON = ["upload_offset", "upload_interrupted", "no_such_upload", "blob_differs"];

const TIMING = {
  partBytes: 1024 * 1024, // of an upload in one request: after each, people see how far it is
  stallMs: 60_000, // a part of an upload that takes longer, or a download that stands still: begin it again
  backoffBaseMs: 400,
  backoffCapMs: 15_000,
  attempts: 8, // in a row that brought nothing; then it is for people to decide
};

export class Blobs {
  #options;
  #timing;

  /**
   * `url`: the server's `/v1/`. `token`: a JWT, or a function that gives it; `device`: its id, where the token
   * is for one device. `timing` takes the place of what stands in TIMING.
   */
  constructor({ url, token, device = null, timing = {} }) {
    this.#options = { url, token, device };
    this.#timing = { ...TIMING, ...timing };
  }

  /**
   * Upload a Blob to a room under its `name`, the SHA-256 of its bytes in hexadecimal; a promise that it is
   * durable there. `progress(bytes)` is called with how much of it is there.
   *
   * Lost connections and temporary refusals are tried again, and what has come is not sent twice. Rejects with
   * the RequestError of a refusal, the last error after too many attempts, or the reason of `signal`; given up
   * by that, nothing of it stays.
   */
  async upload(room, data, name, { progress = () => {}, signal = null } = {}) {
    const patience = new Patience(this.#timing, signal);
    let begun = null;
    try {
      for (;;) {
        try {
          begun = await this.#begin({ room, size: data.size, sha256: name }, patience);
          if (begun.whole) return progress(data.size);
          await this.#send(begun, data, patience, progress);
        } catch (error) {
          await patience.bear(error);
        }
      }
    } catch (error) {
      if (signal?.aborted && begun?.upload) await this.#abandon(begun.upload);
      throw error;
    }
  }

  /**
   * The bytes of a blob, as they come. Lost connections go on from where they broke. Throws as `upload` does.
   * Nothing is said of whether they are the right ones.
   */
  async *download(name, { progress = () => {}, signal = null } = {}) {
    const patience = new Patience(this.#timing, signal);
    for (let at = 0; ; ) {
      try {
        for await (const piece of this.#pieces(name, at, patience)) {
          at += piece.length;
          patience.reached(at);
          progress(at);
          yield piece;
        }
        return;
      } catch (error) {
        await patience.bear(error);
      }
    }
  }

  async #begin(spec, patience) {
    const headers = { "Content-Type": "application/json" };
    const request = { method: "POST", body: JSON.stringify(spec), headers };
    return patience.watched(async (signal) => (await this.#ask("blobs", request, signal)).json());
  }

  /** Send what is missing, part by part. */
  async #send({ upload, offset, patch_bytes: most }, data, patience, progress) {
    for (let at = offset; at < data.size; ) {
      patience.reached(at);
      progress(at);
      const body = data.slice(at, at + Math.min(most, this.#timing.partBytes));
      const request = { method: "PATCH", body, headers: { "Upload-Offset": String(at) } };
      const answer = await patience.watched((signal) => this.#ask(`blobs/uploads/${upload}`, request, signal));
      at = Number(answer.headers.get("Upload-Offset"));
    }
  }

  async *#pieces(name, at, patience) {
    const headers = at > 0 ? { Range: `bytes=${at}-` } : {};
    const answer = await patience.watched((signal) => this.#ask(`blobs/${name}`, { headers }, signal));
    const reader = answer.body.getReader();
    try {
      for (;;) {
        const { done, value } = await patience.watched(() => reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => null); // it may be broken, which is told already
    }
  }

  /** What nobody goes on with; the server deletes it in a day if it does not hear of this. */
  async #abandon(upload) {
    const signal = AbortSignal.timeout(this.#timing.stallMs);
    await this.#ask(`blobs/uploads/${upload}`, { method: "DELETE" }, signal).catch(() => null);
  }

  /** An answer that is no refusal. */
  async #ask(path, { headers = {}, ...request }, signal) {
    const { url, token, device } = this.#options;
    const bearer = typeof token === "function" ? await token() : token;
    const named = device === null ? {} : { [DEVICE_HEADER]: device };
    const answer = await fetch(new URL(path, url), {
      ...request,
      headers: { Authorization: `Bearer ${bearer}`, ...named, ...headers },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal,
    });
    if (!answer.ok) throw new RequestError(await problemOf(answer));
    return answer;
  }
}

/** How long something is tried: until so many attempts in a row have brought nothing new. */
class Patience {
  #timing;
  #signal;
  #backoff;
  #left;
  #furthest = 0;

  constructor(timing, signal) {
    this.#timing = timing;
    this.#signal = signal;
    this.#backoff = new Backoff({ baseMs: timing.backoffBaseMs, capMs: timing.backoffCapMs });
    this.#left = timing.attempts;
  }

  /** So many bytes are there. */
  reached(bytes) {
    if (bytes <= this.#furthest) return;
    this.#furthest = bytes;
    this.#left = this.#timing.attempts;
    this.#backoff.reset();
  }

  /** The result of `work(signal)`, unless it takes too long or is given up. */
  async watched(work) {
    this.#signal?.throwIfAborted();
    const ended = new AbortController();
    const giveUp = () => ended.abort(this.#signal.reason);
    const timer = setTimeout(() => ended.abort(new Stalled("nothing came for too long")), this.#timing.stallMs);
    this.#signal?.addEventListener("abort", giveUp);
    const end = new Promise((_, reject) => {
      ended.signal.onabort = () => reject(ended.signal.reason);
    });
    try {
      return await Promise.race([work(ended.signal), end]);
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", giveUp);
    }
  }

  /** Wait a while before the next attempt, or throw the error if there is to be none. */
  async bear(error) {
    const isPassing = error instanceof RequestError
      ? error.temporary || GO_ON.includes(error.kind)
      : error instanceof Stalled || error instanceof TypeError; // `fetch` says so of lost connections
    if (this.#signal?.aborted || !isPassing || --this.#left <= 0) throw error;
    await this.#pause(Math.max(error.retryAfterMs ?? 0, this.#backoff.next()));
  }

  /** Until the time has passed, the network is back, or it is given up. */
  async #pause(milliseconds) {
    const woken = new AbortController();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      woken.signal.onabort = () => clearTimeout(timer);
      globalThis.addEventListener?.("online", resolve, { signal: woken.signal });
      this.#signal?.addEventListener("abort", resolve, { signal: woken.signal });
    });
    woken.abort();
    this.#signal?.throwIfAborted();
  }
}

class Stalled extends Error {}

/** What a problem document (RFC 9457) says; something in between may have answered with another. */
async function problemOf(answer) {
  const told = await answer.json().catch(() => null);
  if (typeof told?.name === "string") return told;
  const temporary = answer.status >= 500 || answer.status === 408 || answer.status === 429;
  return { code: answer.status, name: `http_${answer.status}`, temporary, detail: "not an answer of the server" };
}
