/**
 * The page's line to the server: one connection, the requests about the session, the way back after a cut, and
 * the link that all of it rests on. Where messages are encrypted, the connection is that of the device that does it.
 */

import { Connection, ConnectionLost, RequestError } from "./connection.js";
import { Lease } from "./lease.js";
import { deviceId, readLink } from "./link.js";

const RETRY_MS = 2000; // before a request that was refused for the moment is repeated

export class Line {
  connection = null; // until it is known whether messages can be encrypted
  #link;
  #lease;
  #page;
  #welcome = null; // the last one
  #back = false; // this connection is welcomed, and what the page wanted of that is done
  #waitingToBeBack = [];
  #isBeginning = false;

  /**
   * `page` has `seal(options)`, which gives a Client for these options of a Connection, or null where messages are
   * not encrypted, `changed(state, detail)` for the state of the connection, `arrive(welcome)`, which finds our place
   * again, `turnedAway(error)` for when there is none, `event(frame)`, `signal(frame)`, `run(promise)`,
   * `failed(error)`, `warn(expires)` that the link runs out at this instant, and `renewed()` when that is over.
   */
  constructor(link, page) {
    this.#link = link;
    this.#lease = new Lease(link.token);
    this.#page = page;
    addEventListener("hashchange", () => page.run(this.#relink()));
  }

  get state() {
    return this.#isBeginning ? "idle" : (this.connection?.state ?? "idle");
  }

  /** Connect, unless that is done or under way. */
  async start() {
    if (this.#isBeginning || !["idle", "closed"].includes(this.state)) return;
    this.#isBeginning = true;
    try {
      const options = this.#options();
      // A device that was taken over meanwhile has to be read anew; a plain connection knows where it was.
      const client = await this.#page.seal(options);
      this.connection = client?.connection ?? this.connection ?? new Connection(options);
    } finally {
      this.#isBeginning = false;
    }
    this.connection.start();
  }

  stop() {
    if (!["idle", "closed"].includes(this.state)) this.connection.stop();
  }

  #options() {
    const page = this.#page;
    return {
      url: new URL("../v1/connect", import.meta.url),
      token: () => this.#link.token,
      device: deviceId(),
      handlers: {
        state: (state, detail) => {
          this.#back = false;
          page.changed(state, detail);
        },
        welcome: (frame) => page.run(this.#arrive(frame)),
        event: page.event,
        signal: page.signal,
      },
    };
  }

  /** A request about this session. */
  request(op, fields = {}) {
    return this.connection.request(op, { session: this.#link.session, ...fields });
  }

  /** What a person has asked for with a button: it waits until we are back, and is sent again after a cut. */
  async insist(op, fields) {
    for (;;) {
      if (!this.#back) await new Promise((resolve) => this.#waitingToBeBack.push(resolve));
      try {
        return await this.request(op, fields);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
      }
    }
  }

  /** Find our place again, however often the server has to be asked. */
  async #arrive(welcome) {
    this.#welcome = welcome;
    while (welcome === this.#welcome && this.state === "ready") {
      try {
        await this.#page.arrive(welcome);
        this.#back = true;
        for (const resume of this.#waitingToBeBack.splice(0)) resume();
        return;
      } catch (error) {
        if (error instanceof ConnectionLost) return; // the next welcome goes on
        if (!error.temporary) {
          if (!(error instanceof RequestError)) throw error; // a fault of ours
          this.#page.turnedAway(error);
          return;
        }
        this.#page.failed(error);
        await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfterMs ?? 0, RETRY_MS)));
      }
    }
  }

  /** When the link runs out before the end of the session, ask for another one, then say so. */
  lookAtLink(now, end) {
    this.#lease.look(now, end, {
      ask: (expires_ms) => {
        const question = { rapport: "link", session: this.#link.session, expires_ms };
        globalThis.opener?.postMessage(question, "*"); // holds nothing that the opener did not give us
      },
      warn: this.#page.warn,
    });
  }

  /** Another link was opened in this window: go on with it. */
  async #relink() {
    const link = readLink();
    if (link === null || link.token === this.#link.token) return;
    if (link.session !== this.#link.session || this.state === "closed") {
      location.reload();
      return;
    }
    this.#link = link; // for the next connection, too
    if (this.#lease.warned) this.#page.renewed();
    this.#lease.renew(link.token);
    if (this.state === "ready") await this.connection.request("token.refresh", { token: link.token });
  }
}
