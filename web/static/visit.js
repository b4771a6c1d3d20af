/**
 * What is known of a person's visit to a session: the session as the server last told it, its time, who takes
 * part, and where the person stands. It notes what happened; what follows from that is done elsewhere.
 */

import { ServerClock } from "./clock.js";
import { People } from "./people.js";

const OVER = ["ended", "cancelled", "no_show"];

export class Visit {
  clock = new ServerClock();
  people;
  /** A SessionView, kept up to date by events and signals; null until known. */
  session = null;
  /** Whether the person pressed Join, and has not left. */
  wanted = false;
  /** Where the server has us, with this connection: "outside", "waiting" or "inside". */
  here = "outside";
  /** How the last knock ended: "sent_back", "denied", or null when it did not end so. */
  knock = null;
  /** When the person came in first, by the server's clock; Infinity before. */
  joinedMs = Infinity;

  /** `id` of the session, and the `role` that the page is made for. */
  constructor(id, role) {
    this.id = id;
    this.role = role;
    this.people = new People(role);
  }

  get isInside() {
    return this.here === "inside";
  }

  get isOver() {
    return isOver(this.session?.state);
  }

  /** Whether the person has knocked and is not let in yet. */
  get isWaiting() {
    return this.wanted && this.session?.place === "waiting";
  }

  get wasInside() {
    return this.joinedMs !== Infinity;
  }

  /** Take over how the session stands. Instants of before are not the server's time of now. */
  take(session) {
    if (session.server_now_ms !== this.session?.server_now_ms) this.clock.sync(session.server_now_ms);
    this.session = session;
    this.people.follow(session);
  }

  cameIn() {
    this.here = "inside";
    this.knock = null;
    this.joinedMs = Math.min(this.joinedMs, this.clock.now());
  }

  /** The knock was answered with "sent_back", so that one goes on waiting, or with "denied". */
  keptOut(knock) {
    this.wanted = knock === "sent_back";
    this.here = this.wanted ? "waiting" : "outside";
    this.knock = knock;
    this.session = { ...this.session, place: this.here, present: [] };
  }

  wentOut() {
    this.wanted = false;
    this.here = "outside";
    this.session = { ...this.session, place: "outside" };
  }
}

/** Whether a session in this state is over. */
export function isOver(state) {
  return OVER.includes(state);
}
