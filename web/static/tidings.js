/** What the server tells unasked: the events of the room, and signals. Each is taken to where it belongs. */

import { ofCountdown, withLate } from "./controls.js";
import { takenBackWords } from "./terms.js";
import { isOver } from "./visit.js";
import * as words from "./words.js";

export class Tidings {
  #visit;
  #page;

  /**
   * `page` has `view`, `studio`, `controls`, `conversation`, `entrance`, `adopt(session)`, `refresh()` and
   * `run(promise)`.
   */
  constructor(visit, page) {
    this.#visit = visit;
    this.#page = page;
  }

  /** What an event leads to is not waited for: nothing else is received until it is done with. */
  event({ body, at_ms, ...place }) {
    const visit = this.#visit;
    if (body.session !== visit.id) return;
    this.#page.conversation.take({ body, at_ms, ...place });
    if (body.kind !== "session" || visit.session === null) return;
    if (isOver(body.state)) this.#adopt({ state: body.state, reason: body.reason });
    else if (!visit.isInside) this.#page.run(this.#page.refresh()); // those inside are told by the countdown
    else if (at_ms >= visit.joinedMs) this.#tellChange(body);
  }

  signal({ body, sender }) {
    const { id, people, session } = this.#visit;
    const { studio, view } = this.#page;
    if (body.kind === "opaque" && sender !== people.account) studio.told(sender, body.data);
    if (body.session !== id || session === null) return;
    if (body.kind === "reoffer") studio.reoffer(body);
    else if (body.kind === "countdown") this.#adopt(ofCountdown(body));
    else if (body.kind === "cue") view.news(words.cueWords(body));
    else if (body.kind === "admission") this.#page.run(this.#page.entrance.placed(body.status));
    else if (body.kind === "late") this.#someoneIsLate(body);
    else if (body.kind === "consents") this.#withdrawn(body.withdrawn ?? []);
    else if (body.kind === "waiting_room") this.#waitingChanged(body.waiting ?? []);
  }

  #tellChange({ change, account, modality, ends_ms }) {
    const { people } = this.#visit;
    if (account === undefined || account === people.account) return;
    const news = (text) => this.#page.view.news(text);
    if (change === "modality") news(words.changedWords(people.name(account), modality));
    if (change === "extended") news(words.extendedWords({ agreed_end_ms: ends_ms }));
  }

  #waitingChanged(waiting) {
    this.#visit.people.follow({ ...this.#visit.session, waiting });
    this.#page.controls.waitingChanged(waiting);
    this.#adopt({ waiting });
  }

  /** Therapists are told who has withdrawn what, as it stands now. */
  #withdrawn(withdrawn) {
    const { people } = this.#visit;
    this.#page.view.news(takenBackWords(withdrawn.map((one) => ({ ...one, name: people.name(one.account) }))));
  }

  #someoneIsLate(body) {
    const { clock, people, session } = this.#visit;
    const now = clock.now();
    const late = withLate(session.late, body, now);
    const theirs = this.#page.controls.lateness(late).filter(({ role, own }) => role === body.role && !own);
    const text = words.latenessWords(theirs, now, people.reader);
    if (text) this.#page.view.news(text);
    this.#adopt({ late });
  }

  #adopt(changes) {
    this.#page.adopt({ ...this.#visit.session, ...changes });
  }
}
