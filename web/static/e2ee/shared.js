/**
 * One device, one connection and one keystore for all tabs of a browser. The tab that leads has them; the
 * others ask it, and every tab is told what was read.
 */

import { LeaderLost, Tabs } from "../tabs.js";
import { newId } from "./sending.js";

export class SharedClient {
  #tabs;

  /**
   * `begin(tell)` gives a Client that passes what it is told to `tell`; it is called in the tab that leads.
   * The `name` is that of the account, and `tell(outcomes)` is called in every tab.
   */
  constructor(name, begin, { tell = () => {} } = {}) {
    const lead = async (tellAll) => {
      const client = await begin(tellAll);
      client.start();
      return {
        send: (...given) => client.send(...given),
        request: (...given) => client.connection.request(...given),
        step: (...given) => client.step(...given),
        close: () => client.stop(),
      };
    };
    this.#tabs = new Tabs(`e2ee ${name}`, lead, { told: tell });
  }

  /** Whether the connection is in this tab. */
  get leads() {
    return this.#tabs.leads;
  }

  /** Write a message; a promise of its id once it is saved, whichever tab is closed meanwhile. */
  async send(room, content, options) {
    const mid = newId(Date.now());
    for (;;) {
      try {
        return await this.#tabs.ask("send", room, content, { ...options, mid });
      } catch (error) {
        if (!(error instanceof LeaderLost)) throw error; // the same id again is the same message
      }
    }
  }

  /** A request to the server; rejects as a Connection's does, or with LeaderLost. */
  request(op, fields) {
    return this.#tabs.ask("request", op, fields);
  }

  /** A step of the device, such as `approve`. */
  step(method, ...given) {
    return this.#tabs.ask("step", method, ...given);
  }

  /** Leave the connection to the other tabs. */
  close() {
    return this.#tabs.close();
  }
}
