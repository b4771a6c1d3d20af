/**
 * What people do to a session while it runs: let someone in, change how they talk, make it longer, keep it
 * open, say that they are late.
 *
 * It asks, sends the request, and shows who waits and what is proposed. Coming and going is left to the page.
 */

import { NoReply } from "./connection.js";
import * as panels from "./panels.js";
import { LinkJudge } from "./quality.js";
import { notAgreedWords } from "./terms.js";
import { uuid7 } from "./uuid.js";
import * as words from "./words.js";

/** Who may change how people talk, or propose to. */
export const TALKING = ["therapist", "client"];

const UNSAID = { present: [], roles: {}, both_ms: 0, urgent: false, proposal: null };

/** What a `countdown` signal says; what it leaves out is as nothing, not as before. */
export function ofCountdown({ kind, ...told }) {
  return { ...UNSAID, ...told };
}

/** The lateness of everyone, after someone in this role has said how late they will be. */
export function withLate(late, { role, minutes }, now) {
  const others = (late ?? []).filter((one) => one.role !== role);
  return minutes === 0 ? others : [...others, { role, minutes, at_ms: now }];
}

export class Controls {
  #page;
  #judge = new LinkJudge();
  #linkIsWeak = false; // and the person has not said what to do about it
  #saidLate = false; // on this page

  /** By `data-action`: what the buttons do. */
  actions = {
    admit: ({ account }) => this.#admit([account]),
    "admit-all": () => this.#admit(this.#waiting().map((one) => one.account)),
    deny: ({ account }) => this.#request("session.deny", { account }),
    talk: () => this.#talk(),
    time: () => this.#time(),
    late: () => this.#late(),
    accept: () => this.#answer(true),
    decline: () => this.#answer(false),
  };

  /**
   * `page` has `people`, `session()`, `adopt(session)`, `announce(text)`, `news(text)`,
   * `complain(words, label, action)`, and `request(op, fields)`, which waits for the connection if need be.
   */
  constructor(page) {
    this.#page = page;
  }

  /** Show who waits, and what is proposed. */
  render() {
    const session = this.#page.session();
    const inside = session.place === "inside";
    panels.showWaiting(inside ? this.#waiting() : [], (account) => this.#page.people.name(account));
    panels.showOffer(inside ? this.#offer(session) : null);
  }

  /** Everyone who waits now: whoever is new is announced, unless they are to be silent. */
  waitingChanged(waiting) {
    const known = this.#waiting().map(({ account }) => account);
    const knocks = waiting.filter(({ account, silent }) => !silent && !known.includes(account));
    if (knocks.length === 0) return;
    this.#page.announce(words.waitersWords(knocks.map(({ account }) => this.#page.people.name(account))));
  }

  /** Look at the statistics of the link: if it is too weak for the picture, say so, once. */
  async look(report) {
    const session = this.#page.session();
    if (session?.modality !== "video" || report === null) {
      this.#judge.reset();
      this.#linkIsWeak = false;
    } else if (this.#judge.judge(report) && TALKING.includes(this.#page.people.reader)) {
      this.#linkIsWeak = true;
      this.render();
    }
  }

  #waiting() {
    return this.#page.session()?.waiting ?? [];
  }

  #offer({ proposal, modality }) {
    const { people } = this.#page;
    if (!TALKING.includes(people.reader)) return null;
    if (proposal) {
      const own = proposal.account === people.account;
      return words.proposalWords(proposal.modality, modality, own ? null : people.name(proposal.account));
    }
    return this.#linkIsWeak && modality === "video" ? words.weakLinkWords() : null;
  }

  /** Every one of these requests is answered with the session as it then is. */
  async #request(op, fields) {
    this.#page.adopt(await this.#page.request(op, fields));
  }

  async #admit(accounts) {
    try {
      await this.#request("session.admit", { accounts });
    } catch (error) {
      if (error.kind !== "consent_required") throw error;
      this.#page.complain(notAgreedWords()); // it is not the reader's own agreement that is missing
    }
  }

  async #answer(accepted) {
    const { proposal } = this.#page.session();
    if (proposal) {
      await this.#request(accepted ? "session.accept" : "session.decline", { modality: proposal.modality });
      return;
    }
    this.#linkIsWeak = false;
    this.render();
    if (accepted) await this.#request("session.modality", { modality: "audio" });
  }

  async #talk() {
    const [how, modality] = (await panels.askHowToTalk(this.#page.session().modality)).split(" ");
    if (how === "change") await this.#request("session.modality", { modality });
    else if (how === "propose") await this.#request("session.propose", { modality });
  }

  async #time() {
    const session = this.#page.session();
    const { people } = this.#page;
    const answer = await panels.askAboutTime(session, people.others(), (account) => people.name(account));
    const [what, detail] = answer.split(" ");
    if (what === "extend") await this.#extend(Number(detail), uuid7());
    else if (what === "urgent") await this.#request("session.urgent", { active: !session.urgent });
    else if (what === "back") await this.#request("session.send_back", { account: detail });
  }

  /** Make the session longer; when no reply comes, the same again with the same `mid` does it once. */
  async #extend(minutes, mid) {
    try {
      const { view, overlaps_ms } = await this.#page.request("session.extend", { minutes, mid });
      this.#page.adopt(view);
      this.#page.news(words.extendedWords(view, overlaps_ms));
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      this.#page.complain(words.unsureWords(), "Make sure", () => {
        this.#page.complain(null);
        return this.#extend(minutes, mid);
      });
    }
  }

  async #late() {
    const answer = await panels.ask("lateness");
    if (answer === "") return;
    const minutes = Number(answer);
    this.#saidLate = true;
    await this.#request("session.late", { minutes });
  }

  /** What the server tells of lateness, with `own` for what the reader has said. It names roles, nobody else. */
  lateness(late) {
    const { people } = this.#page;
    const own = (role) => role === people.reader && (this.#saidLate || !people.isOneOfSeveral);
    return (late ?? []).map((one) => ({ ...one, own: own(one.role) }));
  }
}
