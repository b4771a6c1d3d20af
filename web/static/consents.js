/** What the person agrees to: asked before coming in, and open to change for as long as the session is not over. */

import { askAboutConsents, askToWithdraw, showConsents } from "./panels.js";
import * as terms from "./terms.js";

export class Consents {
  #visit;
  #line;
  #page;
  #asked = false; // what need not be agreed on was asked for

  /** By `data-action`: what the buttons do. */
  actions = {
    consents: () => this.#change(),
    "decline-consents": () => this.#decline(),
  };

  /** `page` has `view`, `adopt(session)`, `complain(words)` and `run(promise)`. */
  constructor(visit, line, page) {
    this.#visit = visit;
    this.#line = line;
    this.#page = page;
  }

  /** Whether one can come in with what was said; otherwise it is asked, and `enter()` is called after it. */
  settled(enter) {
    const { consents = [] } = this.#visit.session;
    if (!consents.some((term) => !this.#asked || terms.consentWords(term).needed)) return true;
    showConsents(consents, (given) => this.#page.run(this.#answer(given, enter)));
    this.#page.view.show("consent");
    return false;
  }

  async #answer(given, enter) {
    for (const term of given) await this.#say(term, true);
    this.#asked = true;
    await enter();
  }

  #decline() {
    this.#page.view.show("lobby");
    this.#page.complain(terms.declinedWords(this.#visit.people.reader));
  }

  /** Show what was agreed to and what was not, and let the person change one of them. */
  async #change() {
    const { consents = [], consented = [], place } = this.#visit.session;
    const all = [...consented, ...consents];
    const [what, which] = (await askAboutConsents(consented, consents)).split(" ");
    if (what === "") return;
    const term = all[which];
    const given = what === "give";
    const follows = terms.withdrawalWords(term, place, this.#visit.people.reader);
    if (!given && !(await askToWithdraw(term, follows))) return;
    await this.#say(term, given);
    this.#page.view.news(terms.changedMindWords(term, given));
  }

  async #say({ kind, version }, given) {
    this.#page.adopt(await this.#line.insist("session.consent", { kind, version, given }));
  }
}
