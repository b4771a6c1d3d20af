/** The way out of a session: leaving, coming back, ending it, and what is asked once it is over. */

import { ask, hideRating, showRating } from "./panels.js";
import * as troubles from "./troubles.js";
import * as words from "./words.js";

export class Farewell {
  #visit;
  #line;
  #page;
  #rated = false;

  /** By `data-action`: what the buttons do. */
  actions = {
    leave: () => this.#leave(),
    "give-up": () => this.#leave(),
    again: () => this.#again(),
  };

  /**
   * `page` has `view`, `studio`, `encryption`, `refresh()`, `render()`, `complain(words)`, `run(promise)` and
   * `failed(error)`.
   */
  constructor(visit, line, page) {
    this.#visit = visit;
    this.#line = line;
    this.#page = page;
  }

  /** We are out of a session that goes on. */
  goOut(farewell) {
    this.#visit.wentOut();
    this.#say(farewell);
  }

  /** There is nothing here for this person: say so instead of a lobby that leads nowhere. */
  turnedAway(error) {
    this.#line.stop();
    this.#say(troubles.turnedAwayWords(error));
  }

  /** The server closed the connection for good. */
  closed(detail) {
    if (this.#visit.isOver) hideRating(); // nobody could answer; how it ended still stands there
    else this.#say(troubles.closedWords(detail));
  }

  #say(farewell) {
    this.#page.studio.leave();
    this.#page.view.farewell(farewell);
  }

  async #leave() {
    const inside = this.#visit.session.place === "inside";
    const choice = inside && this.#visit.role === "therapist" ? await ask("leaving") : "leave";
    if (choice === "end") await this.#line.insist("session.end"); // the server tells everyone, us too
    if (choice !== "leave") return;
    if (inside) this.goOut(words.leftWords());
    else this.#visit.wentOut();
    await this.#line.request("session.leave"); // without a connection we are out as soon as we are missed
    if (!inside) await this.#page.refresh();
  }

  /** Back from the farewell: after leaving, or because the session was opened in another window. */
  async #again() {
    this.#page.run(this.#line.start());
    this.#visit.wanted = false;
    this.#page.view.show("lobby");
    this.#page.render();
    if (this.#visit.session !== null) await this.#page.studio.open(this.#visit.session.modality);
  }

  /** The session is over: tell why, and ask those who were in it how it was. */
  async finish() {
    const { view } = this.#page;
    const visit = this.#visit;
    this.#page.studio.leave();
    if (visit.session.reason === undefined && this.#line.state === "ready") {
      // A countdown says that it is over, but not why.
      visit.session = await this.#line.request("session.get");
    }
    visit.wanted = false;
    this.#page.run(this.#page.encryption.forget());
    view.clock("");
    this.#page.complain(null);
    view.farewell(words.endWords(visit.session, visit.people.reader));
    const asks = visit.wasInside && visit.session.state === "ended" && !this.#rated;
    if (asks) showRating((rating) => this.#rate(rating));
    else this.#line.stop();
  }

  /** Whether the server has the person's answer. */
  async #rate(rating) {
    try {
      await this.#line.insist("session.rate", rating);
    } catch (error) {
      this.#page.failed(error);
      if (error.kind !== "already_rated") return false;
    }
    this.#rated = true;
    this.#line.stop();
    return true;
  }}
