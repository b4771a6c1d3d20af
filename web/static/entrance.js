/**
 * The way into a session: finding one's place on every new connection, knocking, and being let in, kept out or
 * sent back.
 */

import { RequestError } from "./connection.js";
import * as words from "./words.js";

export class Entrance {
  #visit;
  #line;
  #page;
  #rooms = []; // of the last welcome
  #acquaintedOn = null; // the connection on which the members and what was written were learnt
  #joining = null; // the promise of a join that is under way

  /** By `data-action`: what the buttons do. */
  actions = {
    join: () => this.#enter(),
  };

  /**
   * `page` has `view`, `studio`, `conversation`, `encryption`, `consents`, `adopt(session)`, `refresh()`, `render()`,
   * `announceLobby()`, `tellDevices()`, `goOut(farewell)`, `complain(words)`, `run(promise)` and `failed(error)`.
   */
  constructor(visit, line, page) {
    this.#visit = visit;
    this.#line = line;
    this.#page = page;
  }

  /** Find our place, for the first time or again after a cut. */
  async arrive({ server_now_ms, account, rooms }) {
    const visit = this.#visit;
    visit.clock.sync(server_now_ms);
    visit.people.account = account;
    this.#rooms = rooms;
    const first = visit.session === null;
    const session = await this.#line.request("session.get");
    if (session.place !== "waiting") await this.#acquaint(session.room);
    this.#page.adopt(session);
    // Not waited for: the browser may ask for the devices, and people take their time.
    if (first && !visit.isOver) this.#page.run(this.#page.studio.open(session.modality));
    if (visit.wanted && visit.here === "outside" && !visit.isOver) await this.#comeBack();
  }

  /** Learn who belongs to the room, and what was written: once, and not while waiting to be let in. */
  async #acquaint(room) {
    const { people } = this.#visit;
    const { connection } = this.#line;
    if (this.#acquaintedOn === connection) return;
    const request = (op, fields) => connection.request(op, fields);
    try {
      const { members } = await request("room.get", { room });
      people.acquaint(members);
    } catch (error) {
      // Whoever is a guest of the session is no member of the room: its log is not for them.
      if (!(error instanceof RequestError) || error.kind !== "no_such_room") throw error;
      people.acquaint([]);
      this.#acquaintedOn = connection;
      return;
    }
    const head = this.#rooms.find((one) => one.room === room);
    if (head) await this.#page.conversation.recall(request, head);
    this.#acquaintedOn = connection;
  }

  async #enter() {
    const page = this.#page;
    page.complain(null);
    if (!page.consents.settled(() => this.#enter())) return;
    this.#visit.wanted = true;
    this.#visit.knock = null;
    this.#showLobby();
    try {
      await this.#join();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the connection is lost: the next welcome joins
      this.#visit.wanted = false;
      this.#showLobby();
      if (error.kind === "consent_required") await page.refresh(); // the next knock asks for it
      throw error;
    }
  }

  /** Join again after a cut. What was taken back meanwhile is no end: it can be given again. */
  async #comeBack() {
    try {
      await this.#join();
    } catch (error) {
      if (error.kind !== "consent_required") throw error;
      this.#visit.wanted = false;
      this.#page.studio.hangUp();
      this.#showLobby();
      await this.#page.refresh();
      this.#page.failed(error);
    }
  }

  /** Join on this connection: once, however many reasons there are. */
  #join() {
    this.#joining ??= this.#joinNow().finally(() => {
      this.#joining = null;
    });
    return this.#joining;
  }

  async #joinNow() {
    // What is written from now on is of this session: the server takes it from those who are in it.
    const session = await this.#line.connection.before(this.#line.request("session.join"));
    const visit = this.#visit;
    this.#page.adopt(session);
    if (!visit.wanted || visit.isOver) return; // the person has left meanwhile, or it has ended
    if (session.place === "waiting") {
      visit.here = "waiting";
      this.#waitOutside(); // perhaps after a cut, during which we were sent back
      return;
    }
    visit.cameIn();
    this.#page.encryption.goOn();
    this.#page.view.show("room");
    this.#page.render();
    this.#page.run(this.#settleIn(session)); // not waited for: we can be sent out again, and in, before it is done
  }

  async #settleIn({ room }) {
    const { studio } = this.#page;
    await this.#acquaint(room);
    if (this.#visit.people.reader === "observer") studio.lookOn();
    this.#page.render();
    if (!this.#visit.isInside) return;
    await studio.enter(this.#visit.session.modality);
    await this.#page.tellDevices();
  }

  /** The server tells what became of our wish to come in. */
  async placed(status) {
    const visit = this.#visit;
    if (status === "over") await this.#page.refresh();
    if (!visit.wanted) return;
    if (status === "admitted") {
      // A join that is under way may have found us still waiting.
      await this.#joining?.catch(() => null); // who asked for it says what went wrong
      if (visit.wanted && !visit.isInside) await this.#join();
    }
    if (status === "denied" || status === "sent_back") {
      visit.keptOut(status);
      this.#waitOutside();
    }
    if (status === "out") this.#page.goOut(words.outWords());
  }

  #waitOutside() {
    this.#page.studio.hangUp();
    this.#showLobby();
    this.#page.announceLobby();
  }

  #showLobby() {
    this.#page.view.show("lobby");
    this.#page.render();
  }
}
