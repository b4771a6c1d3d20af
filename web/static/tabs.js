/**
 * What one browser does once for all its tabs: one of them leads, and does the work for the others; when it
 * is closed or dies, the next one takes over.
 *
 *     const tabs = new Tabs("connection of ann", lead, { told: show });
 *     await tabs.ask("send", room, content); // by whichever tab leads
 *
 * `lead(tell)` is called in the tab that has become the leader, and gives an object whose methods the tabs
 * ask for; `tell(news)` reaches every tab. Which tab leads is decided by a lock of the browser (Web Locks);
 * tabs talk over a BroadcastChannel, so that what is asked, answered and told has to be data.
 */

/** The leader went away before its answer. Whether it was done is not known. */
export class LeaderLost extends Error {
  temporary = true;
}

/** A tab asks twice at most, when it hears of a leader while its question is on the way. */
const PERFORMED_KEPT = 1000;

export class Tabs {
  #channel;
  #lead;
  #told;
  #leader = null; // what `lead` gave, in the tab that leads
  #term = null; // the id of this tab's time as the leader
  #performed = []; // ids of what was asked for in it, the last PERFORMED_KEPT
  #waiting = new Map(); // id -> {method, args, term, resolve, reject}; term: whose leader has taken it
  #closing = new AbortController();
  #release = () => {};

  /** Tabs with the same `name` share the work. `told(news)` is called for what a leader tells. */
  constructor(name, lead, { told = () => {} } = {}) {
    this.#lead = lead;
    this.#told = told;
    this.#channel = new BroadcastChannel(`rapport ${name}`);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    const { signal } = this.#closing;
    navigator.locks.request(`rapport ${name}`, { signal }, () => this.#takeOver()).catch((error) => {
      if (error !== signal.reason) reportError(error); // the lock was not ours yet when this tab left
    });
    this.#say({ from: "asker", looking: true });
  }

  /** Whether this tab leads. */
  get leads() {
    return this.#leader !== null;
  }

  /**
   * Have the leader call a method; a promise of its result. What no leader has taken waits for the next one.
   * Rejects with LeaderLost, or with an error that has the fields of the one thrown.
   */
  async ask(method, ...args) {
    if (this.#leader !== null) return this.#leader[method](...args);
    const id = crypto.randomUUID();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { method, args, term: null, resolve, reject });
      this.#say({ from: "asker", id, method, args });
    });
  }

  /** Leave the work to the other tabs. */
  async close() {
    this.#closing.abort();
    this.#release();
    this.#channel.close();
    const leader = this.#leader;
    this.#leader = null;
    await leader?.close?.();
  }

  // --- In the tab that leads ------------------------------------------------------------------------------

  /** The lock is ours until this promise settles. */
  async #takeOver() {
    const held = new Promise((resolve) => (this.#release = resolve));
    const leader = await this.#lead((news) => {
      this.#told(news);
      this.#say({ from: "leader", news });
    });
    if (this.#closing.signal.aborted) return leader.close?.();
    this.#leader = leader;
    this.#term = crypto.randomUUID();
    this.#say({ from: "leader", leads: this.#term });
    for (const asked of this.#orphans(this.#term)) {
      this.#waiting.delete(asked.id);
      this.ask(asked.method, ...asked.args).then(asked.resolve, asked.reject);
    }
    return held;
  }

  async #perform({ id, method, args }) {
    if (this.#performed.includes(id)) return;
    this.#performed = [...this.#performed, id].slice(-PERFORMED_KEPT);
    this.#say({ from: "leader", id, taken: this.#term });
    try {
      this.#say({ from: "leader", id, result: await this.#leader[method](...args) });
    } catch (error) {
      this.#say({ from: "leader", id, error: { ...error, name: error.name, message: error.message } });
    }
  }

  // --- In the others --------------------------------------------------------------------------------------

  #heard(message) {
    if (message.from === "asker") {
      if (this.#leader === null) return;
      if (message.looking) this.#say({ from: "leader", leads: this.#term });
      else this.#perform(message);
    } else if ("news" in message) this.#told(message.news);
    else if (message.leads) {
      for (const { id, method, args } of this.#orphans(message.leads)) {
        this.#say({ from: "asker", id, method, args });
      }
    } else this.#answered(message);
  }

  /** What no leader has taken; what another leader than that of this term took is lost with it. */
  #orphans(leading) {
    const all = [...this.#waiting].map(([id, asked]) => ({ id, ...asked }));
    for (const { id, term, reject } of all) {
      if (term === null || term === leading) continue;
      this.#waiting.delete(id);
      reject(new LeaderLost("the leading tab is gone"));
    }
    return all.filter(({ term }) => term === null);
  }

  #say(message) {
    if (this.#closing.signal.aborted) return; // this tab has left; whoever asked hears of the next leader
    this.#channel.postMessage(message);
  }

  #answered({ id, taken, result, error }) {
    const asked = this.#waiting.get(id);
    if (asked === undefined) return;
    if (taken) {
      asked.term = taken;
      return;
    }
    this.#waiting.delete(id);
    if (error === undefined) asked.resolve(result);
    else asked.reject(Object.assign(new Error(error.message), error));
  }
}
