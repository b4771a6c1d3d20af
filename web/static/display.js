/** How the visit is to be seen at this moment: the lobby, the clock, and what stands where others will be seen. */

import { TALKING } from "./controls.js";
import * as words from "./words.js";

const LATE_NOTICE_MS = 60 * 60_000; // so long before the door opens one can say to be late

export class Display {
  #visit;
  #page;

  /** `page` has `view`, `studio`, `controls` and `line`. */
  constructor(visit, page) {
    this.#visit = visit;
    this.#page = page;
  }

  render() {
    const { view, studio, controls, line } = this.#page;
    const { session, isInside } = this.#visit;
    view.connection(words.connectionWords(line.state, isInside ? studio.state : null));
    const late = this.#latenessWords();
    view.lobby({ ...this.#lobbyWords(), late, ...this.#choices() });
    if (session === null) return;
    const { consents = [], consented = [] } = session;
    view.consents(consents.length + consented.length > 0);
    view.modality(session.modality);
    view.part(this.#part());
    controls.render();
    view.waiting(this.#waitingWords(late));
  }

  /** Say how the door stands to people who do not see the page. */
  announceLobby() {
    this.#page.view.announce(this.#lobbyWords().before);
  }

  clock() {
    const { session, clock, here, people } = this.#visit;
    // Whoever waits to be let in does not need to watch the time run.
    const waits = here === "waiting";
    this.#page.view.clock(...(waits ? [""] : words.clockWords(session, clock.now(), people.reader)));
  }

  /** What one can do in the lobby. */
  #choices() {
    const { session, clock, isWaiting, wanted } = this.#visit;
    const now = clock.now();
    const ready = this.#page.line.state === "ready" && session !== null && !wanted && now >= session.opens_ms;
    const near = now > session?.opens_ms - LATE_NOTICE_MS && now < session?.agreed_end_ms;
    return { ready, waiting: isWaiting, sayLate: near && !isWaiting };
  }

  #lobbyWords() {
    const { session, clock, people, isWaiting } = this.#visit;
    const knock = this.#visit.knock ?? (isWaiting ? "waiting" : null);
    const there = { inside: this.#names(people.others()), waiting: this.#waiters(), knock };
    return words.lobbyWords(session, clock.now(), people.reader, there);
  }

  #latenessWords() {
    const { session, clock, people } = this.#visit;
    return words.latenessWords(this.#page.controls.lateness(session?.late), clock.now(), people.reader);
  }

  /** What stands where the others will be seen, as long as none of them is. */
  #waitingWords(late) {
    const { people, session } = this.#visit;
    const others = people.others();
    if (others.length > 0 && session.modality === "chat") return people.isGuest ? words.writingWords() : "";
    if (others.length > 0) return this.#page.studio.hasPeople ? "" : words.connectingWords(this.#names(others));
    const waiters = this.#waiters();
    if (waiters.length > 0) return words.waitersWords(waiters);
    return `${words.waitingWords(people.reader)} ${late}`.trim();
  }

  #part() {
    const { reader, isGuest } = this.#visit.people;
    if (reader === "observer") return "observer";
    if (isGuest) return "guest";
    return TALKING.includes(reader) ? "all" : "listener";
  }

  #waiters() {
    return this.#names((this.#visit.session?.waiting ?? []).map(({ account }) => account));
  }

  #names(accounts) {
    return accounts.map((account) => this.#visit.people.name(account));
  }
}
