/** Requests in flight: each gets an id, and exactly one outcome. */

/** The server refused. `kind` is the error's stable name; see the table of errors in the wire reference. */
export class RequestError extends Error {
  constructor({ code, name, temporary, detail, hint, retry_after_ms, mismatch }) {
    super(`${name}: ${detail}`);
    this.code = code;
    this.kind = name;
    this.temporary = temporary;
    this.detail = detail;
    this.hint = hint;
    this.retryAfterMs = retry_after_ms ?? null;
    this.mismatch = mismatch ?? null; // with `device_mismatch`: the devices there are
  }
}

/** The connection was lost before the reply, or is not up. Whether the request was done is not known. */
export class ConnectionLost extends Error {
  temporary = true;
}

/** The connection holds, but no reply came in time. Whether the request was done is not known. */
export class NoReply extends Error {
  temporary = true;
}

export class Requests {
  #waiting = new Map();
  #lastId = 0;
  #timeoutMs;

  constructor(timeoutMs) {
    this.#timeoutMs = timeoutMs;
  }

  /** Send `fields` as a request through `transmit(frame)`; a promise of the reply's result, or null. */
  open(op, fields, transmit) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const expire = () => this.#settle(id, () => reject(new NoReply(`no reply to ${op}`)));
      const timer = setTimeout(expire, this.#timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      transmit({ op, id, ...fields });
    });
  }

  /** Settle the request that an `ok` or `error` frame answers; a late answer settles nothing. */
  answer(frame) {
    this.#settle(frame.id, ({ resolve, reject }) =>
      frame.op === "ok" ? resolve(frame.result ?? null) : reject(new RequestError(frame)),
    );
  }

  /** The connection is gone: every request in flight fails with ConnectionLost. */
  abandon() {
    for (const id of [...this.#waiting.keys()]) {
      this.#settle(id, ({ reject }) => reject(new ConnectionLost("the connection was lost")));
    }
  }

  #settle(id, outcome) {
    const request = this.#waiting.get(id);
    if (request === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(request.timer);
    outcome(request);
  }
}
