/**
 * A person's way through one session: lobby, waiting room, session, farewell.
 *
 * It brings the connection, the clock, sound and picture, and the messages together with what is to be seen,
 * and leaves the doing to each of them.
 */

import { ServerClock } from "./clock.js";
import { Connection, ConnectionLost, NoReply, RequestError } from "./connection.js";
import { Controls, ofCountdown, TALKING, withLate } from "./controls.js";
import { Conversation } from "./conversation.js";
import { Lease } from "./lease.js";
import { deviceId, readLink } from "./link.js";
import { ask, hideRating, showConsents, showRating } from "./panels.js";
import { People } from "./people.js";
import { Studio } from "./studio.js";
import * as troubles from "./troubles.js";
import { View } from "./view.js";
import * as words from "./words.js";

const OVER = ["ended", "cancelled", "no_show"];
const LATE_NOTICE_MS = 60 * 60_000; // so long before the door opens one can say to be late
const TICK_MS = 500;
const RETRY_MS = 2000; // before a request that was refused for the moment is repeated
const LOOK_MS = 4000; // between two looks at the link

class SessionPage {
  #role = document.body.dataset.role;
  #id; // of the session
  #token;
  #lease;
  #view = new View(document.getElementById("app"), (action, data) => this.#run(this.#actions[action](data)));
  #clock = new ServerClock();
  #connection = null;
  #studio;
  #controls;
  #conversation = null;
  #people = new People(this.#role);
  #head = null; // of the room's log, at the last welcome
  #session = null; // what is known of the session: a SessionView, kept up to date by events and signals
  #wanted = false; // the person pressed Join, and has not left
  #joining = null; // the promise of a join that is under way
  #here = "outside"; // where the server has us, with this connection: "outside", "waiting" or "inside"
  #joinedMs = Infinity; // when, by the server's clock
  #welcome = null; // the last one
  #back = false; // this connection is welcomed, and has joined if it was to
  #waitingToBeBack = [];
  #knock = null; // "sent_back" or "denied", when the last knock ended so
  #asked = false; // what need not be agreed on was asked for
  #rated = false;
  #unread = 0;
  #remedy = null;
  #actions = {
    join: () => this.#enter(),
    "decline-consents": () => this.#declineConsents(),
    microphone: () => this.#toggle("audio"),
    camera: () => this.#toggle("video"),
    chat: () => this.#toggleChat(),
    leave: () => this.#leave(),
    "give-up": () => this.#leave(),
    again: () => this.#again(),
    remedy: () => this.#remedy?.(),
  };

  constructor() {
    this.#studio = new Studio(this.#view, {
      exchange: (sdp) => this.#exchange(sdp),
      name: (account) => this.#people.name(account),
      changed: () => this.#render(),
      complain: (...problem) => this.#complain(...problem),
      failed: (error) => this.#failed(error),
    });
    this.#controls = new Controls({
      people: this.#people,
      session: () => this.#session,
      request: (op, fields) => this.#insist(op, fields),
      adopt: (session) => this.#adopt(session),
      announce: (text) => this.#view.announce(text),
      news: (text) => this.#view.news(text),
      complain: (...problem) => this.#complain(...problem),
    });
    Object.assign(this.#actions, this.#controls.actions);
  }

  start() {
    const link = readLink();
    if (link === null) {
      this.#view.farewell(troubles.noLinkWords());
      return;
    }
    this.#id = link.session;
    this.#token = link.token;
    this.#lease = new Lease(link.token);
    this.#connection = new Connection({
      url: new URL("../v1/connect", import.meta.url),
      token: () => this.#token,
      device: deviceId(),
      handlers: {
        state: (state, detail) => this.#connectionChanged(state, detail),
        welcome: (frame) => this.#run(this.#arrive(frame)),
        event: (frame) => this.#event(frame),
        signal: (frame) => this.#signal(frame),
      },
    });
    this.#conversation = new Conversation(this.#id, {
      send: (data) => this.#session && this.#connection.send(this.#session.room, data, this.#id),
      name: (account) => this.#people.name(account),
      isSelf: (account) => account === this.#people.account,
      arrived: () => this.#messageArrived(),
      failed: (error) => this.#failed(error),
    });
    this.#view.toggleChat(matchMedia("(min-width: 60rem)").matches);
    this.#view.show("lobby");
    this.#render();
    this.#connection.start();
    addEventListener("hashchange", () => this.#run(this.#relink()));
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#run(this.#look()), LOOK_MS);
  }

  // --- The connection ------------------------------------------------------------------------------------

  /** Find our place again, however often the server has to be asked. */
  async #arrive(frame) {
    this.#welcome = frame;
    while (frame === this.#welcome && this.#connection.state === "ready") {
      try {
        await this.#welcomed(frame);
        return;
      } catch (error) {
        if (error instanceof ConnectionLost) return; // the next welcome goes on
        if (!error.temporary) {
          this.#turnedAway(error);
          return;
        }
        this.#failed(error);
        await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfterMs ?? 0, RETRY_MS)));
      }
    }
  }

  async #welcomed(frame) {
    this.#clock.sync(frame.server_now_ms);
    this.#people.account = frame.account;
    const first = this.#session === null;
    const session = await this.#request("session.get");
    this.#head = frame.rooms.find(({ room }) => room === session.room) ?? null;
    if (session.place !== "waiting") await this.#acquaint(session.room);
    this.#adopt(session);
    if (first && !this.#isOver) this.#run(this.#studio.open(session.modality)); // the browser may ask, and people take their time
    if (this.#wanted && this.#here === "outside" && !this.#isOver) await this.#join();
    this.#back = true;
    for (const resume of this.#waitingToBeBack.splice(0)) resume();
  }

  /** Learn who belongs to the room, and what was written: once, and not while waiting to be let in. */
  async #acquaint(room) {
    if (this.#people.acquainted) return;
    const request = (op, fields) => this.#connection.request(op, fields);
    try {
      const { members } = await request("room.get", { room });
      this.#people.acquaint(members);
    } catch (error) {
      // Whoever is a guest of the session is no member of the room: its log is not for them.
      if (!(error instanceof RequestError) || error.kind !== "no_such_room") throw error;
      this.#people.acquaint([]);
      return;
    }
    if (this.#head !== null) await this.#conversation.recall(request, this.#head);
  }

  /** There is nothing here for this person: say so instead of a lobby that leads nowhere. */
  #turnedAway(error) {
    if (!(error instanceof RequestError)) throw error;
    this.#connection.stop();
    this.#studio.leave();
    this.#view.farewell(troubles.turnedAwayWords(error));
  }

  #connectionChanged(state, detail) {
    this.#here = "outside";
    this.#back = false;
    this.#render();
    if (state !== "closed" || detail === null) return; // closed by ourselves
    if (this.#isOver) {
      hideRating(); // how it ended still stands there
      return;
    }
    this.#studio.leave();
    this.#view.farewell(troubles.closedWords(detail));
  }

  /** What it leads to is not waited for: nothing else is received until an event is done with. */
  #event({ body, at_ms, ...place }) {
    if (body.session !== this.#id) return;
    this.#conversation.take({ body, at_ms, ...place });
    if (body.kind !== "session" || this.#session === null) return;
    if (OVER.includes(body.state)) this.#adopt({ ...this.#session, state: body.state, reason: body.reason });
    else if (!this.#isInside) this.#run(this.#refresh()); // those inside are told by the countdown
    else if (at_ms >= this.#joinedMs) this.#tellChange(body);
  }

  #tellChange({ change, account, modality, ends_ms }) {
    if (account === undefined || account === this.#people.account) return;
    if (change === "modality") this.#view.news(words.changedWords(this.#people.name(account), modality));
    if (change === "extended") this.#view.news(words.extendedWords({ agreed_end_ms: ends_ms }));
  }

  #signal({ body, sender }) {
    if (body.kind === "opaque" && sender !== this.#people.account) this.#studio.told(sender, body.data);
    if (body.session !== this.#id || this.#session === null) return;
    if (body.kind === "reoffer") this.#studio.reoffer(body);
    else if (body.kind === "countdown") this.#adopt({ ...this.#session, ...ofCountdown(body) });
    else if (body.kind === "cue") this.#view.news(words.cueWords(body));
    else if (body.kind === "admission") this.#run(this.#placed(body.status));
    else if (body.kind === "late") this.#someoneIsLate(body);
    else if (body.kind === "waiting_room") this.#waitingChanged(body.waiting ?? []);
  }

  /** A request about this session. */
  #request(op, fields = {}) {
    return this.#connection.request(op, { session: this.#id, ...fields });
  }

  /** What a person has asked for with a button: it waits until we are back, and is sent again after a cut. */
  async #insist(op, fields) {
    for (;;) {
      if (!this.#back) await new Promise((resolve) => this.#waitingToBeBack.push(resolve));
      try {
        return await this.#request(op, fields);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
      }
    }
  }

  async #exchange(sdp) {
    if (!this.#isInside) throw new ConnectionLost("not in the session yet");
    return this.#request("media.offer", { sdp });
  }

  // --- The session ---------------------------------------------------------------------------------------

  async #refresh() {
    this.#adopt(await this.#request("session.get"));
  }

  /** Take over how the session stands. Instants of before are not the server's time of now. */
  #adopt(session) {
    const before = this.#session;
    const people = this.#people.others();
    if (session.server_now_ms !== before?.server_now_ms) this.#clock.sync(session.server_now_ms);
    this.#session = session;
    this.#people.follow(session);
    if (this.#isOver) {
      this.#run(this.#finish());
      return;
    }
    this.#studio.expect(this.#people.others().length);
    const switched = before?.modality !== session.modality;
    if (this.#isInside && switched) this.#run(this.#studio.enter(session.modality));
    if (this.#wanted) this.#tellWhoCame(people, this.#people.others());
    this.#render();
  }

  #waitingChanged(waiting) {
    this.#people.follow({ ...this.#session, waiting });
    this.#controls.waitingChanged(waiting);
    this.#adopt({ ...this.#session, waiting });
  }

  #someoneIsLate(body) {
    const now = this.#clock.now();
    const late = withLate(this.#session.late, body, now);
    const theirs = this.#controls.lateness(late).filter(({ role, own }) => role === body.role && !own);
    const text = words.latenessWords(theirs, now, this.#people.reader);
    if (text) this.#view.news(text);
    this.#adopt({ ...this.#session, late });
  }

  #tellWhoCame(before, now) {
    const came = now.filter((account) => !before.includes(account));
    const went = before.filter((account) => !now.includes(account));
    for (const account of came) this.#view.announce(`${this.#people.name(account)} is here.`);
    for (const account of went) this.#view.announce(`${this.#people.name(account)} has left.`);
    if (came.length > 0 && this.#isInside) this.#run(this.#tellDevices());
  }

  // --- Coming in -----------------------------------------------------------------------------------------

  async #enter() {
    this.#complain(null);
    const terms = this.#session.consents ?? [];
    if (terms.some((term) => !this.#asked || words.consentWords(term).needed)) {
      showConsents(terms, (given) => this.#run(this.#consent(given)));
      this.#view.show("consent");
      return;
    }
    this.#wanted = true;
    this.#knock = null;
    this.#view.show("lobby");
    this.#render();
    try {
      await this.#join();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the connection is lost: the next welcome joins
      this.#wanted = false;
      this.#view.show("lobby");
      this.#render();
      if (error.kind === "consent_required") await this.#refresh();
      throw error;
    }
  }

  async #consent(given) {
    for (const { kind, version } of given) {
      this.#adopt(await this.#insist("session.consent", { kind, version, given: true }));
    }
    this.#asked = true;
    await this.#enter();
  }

  #declineConsents() {
    this.#view.show("lobby");
    this.#complain(words.declinedWords(this.#people.reader));
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
    const session = await this.#connection.before(this.#request("session.join"));
    this.#adopt(session);
    if (!this.#wanted || this.#isOver) return; // the person has left meanwhile, or it has ended
    this.#here = session.place;
    if (session.place === "waiting") {
      this.#studio.hangUp(); // after a cut, during which we were sent back
      this.#view.show("lobby");
      this.#render();
      this.#view.announce(this.#lobbyWords().before);
      return;
    }
    this.#joinedMs = Math.min(this.#joinedMs, this.#clock.now());
    this.#knock = null;
    this.#view.show("room");
    this.#render();
    this.#run(this.#settleIn(session)); // not waited for: we can be sent out again, and in, before it is done
  }

  async #settleIn({ room, modality }) {
    await this.#acquaint(room);
    if (this.#people.reader === "observer") this.#studio.lookOn();
    this.#render();
    if (!this.#isInside) return;
    await this.#studio.enter(this.#session.modality ?? modality);
    await this.#tellDevices();
  }

  /** The server tells what became of our wish to come in. */
  async #placed(status) {
    if (status === "over") await this.#refresh();
    if (!this.#wanted) return;
    if (status === "admitted") {
      // A join that is under way may have found us still waiting.
      await this.#joining?.catch(() => null); // who asked for it says what went wrong
      if (this.#wanted && !this.#isInside) await this.#join();
    }
    if (status === "denied" || status === "sent_back") this.#stayOutside(status);
    if (status === "out") this.#goOut(words.outWords());
  }

  #stayOutside(status) {
    this.#wanted = status === "sent_back";
    this.#here = status === "sent_back" ? "waiting" : "outside";
    this.#knock = status;
    this.#session = { ...this.#session, place: this.#here, present: [] };
    this.#studio.hangUp();
    this.#view.show("lobby");
    this.#render();
    this.#view.announce(this.#lobbyWords().before);
  }

  #goOut(farewell) {
    this.#wanted = false;
    this.#here = "outside";
    this.#session = { ...this.#session, place: "outside" };
    this.#studio.leave();
    this.#view.farewell(farewell);
  }

  // --- Going out -----------------------------------------------------------------------------------------

  async #leave() {
    const inside = this.#session.place === "inside";
    const choice = inside && this.#role === "therapist" ? await ask("leaving") : "leave";
    if (choice === "end") await this.#insist("session.end"); // the server tells everyone, us too
    if (choice !== "leave") return;
    this.#wanted = false;
    this.#here = "outside";
    if (inside) this.#goOut(words.leftWords());
    await this.#request("session.leave"); // without a connection we are out as soon as we are missed
    if (!inside) await this.#refresh();
  }

  /** Back from the farewell: after leaving, or because the session was opened in another window. */
  async #again() {
    if (this.#connection.state === "closed") this.#connection.start();
    this.#wanted = false;
    this.#view.show("lobby");
    this.#render();
    if (this.#session !== null) await this.#studio.open(this.#session.modality);
  }

  async #finish() {
    this.#studio.leave();
    if (this.#session.reason === undefined && this.#connection.state === "ready") {
      // A countdown says that it is over, but not why.
      this.#session = await this.#request("session.get");
    }
    this.#wanted = false;
    this.#view.clock("");
    this.#complain(null);
    this.#view.farewell(words.endWords(this.#session, this.#people.reader));
    const wasIn = this.#joinedMs !== Infinity && this.#session.state === "ended";
    if (wasIn && !this.#rated) showRating((rating) => this.#rate(rating));
    else this.#hangUp();
  }

  /** Whether the server has the person's answer. */
  async #rate(rating) {
    try {
      await this.#insist("session.rate", rating);
    } catch (error) {
      this.#failed(error);
      if (error.kind !== "already_rated") return false;
    }
    this.#rated = true;
    this.#hangUp();
    return true;
  }

  #hangUp() {
    if (this.#connection.state !== "closed") this.#connection.stop();
  }

  // --- The link ------------------------------------------------------------------------------------------

  /** The link runs out before the session: ask for another one, then say so. */
  #lookAtLink() {
    this.#lease.look(this.#clock.now(), this.#session.cap_ms, {
      ask: (expires_ms) => {
        const question = { rapport: "link", session: this.#id, expires_ms };
        globalThis.opener?.postMessage(question, "*"); // holds nothing that the opener did not give us
      },
      warn: (expires) => this.#complain(troubles.linkEndsWords(words.timeOfDay(expires))),
    });
  }

  /** Another link was opened in this window: go on with it. */
  async #relink() {
    const link = readLink();
    if (link === null || link.token === this.#token) return;
    if (link.session !== this.#id || this.#connection.state === "closed") {
      location.reload();
      return;
    }
    this.#token = link.token; // for the next connection, too
    if (this.#lease.warned) this.#complain(null);
    this.#lease.renew(link.token);
    if (this.#connection.state === "ready") await this.#connection.request("token.refresh", { token: link.token });
  }

  // --- What people do ------------------------------------------------------------------------------------

  async #toggle(kind) {
    await this.#studio.toggle(kind);
    if (this.#isInside) await this.#tellDevices();
  }

  async #tellDevices() {
    if (this.#people.isGuest) return; // only members of the room tell each other
    await this.#connection.signal(this.#session.room, { kind: "opaque", data: this.#studio.tell() });
  }

  #messageArrived() {
    if (!this.#view.chatOpen) this.#view.unread(++this.#unread);
  }

  #toggleChat() {
    if (this.#view.toggleChat()) this.#view.unread((this.#unread = 0));
  }

  // --- What is shown -------------------------------------------------------------------------------------

  get #isInside() {
    return this.#here === "inside";
  }

  get #isOver() {
    return OVER.includes(this.#session?.state);
  }

  #names(accounts) {
    return accounts.map((account) => this.#people.name(account));
  }

  #waiters() {
    return this.#names((this.#session?.waiting ?? []).map(({ account }) => account));
  }

  #lobbyWords() {
    const waits = this.#wanted && this.#session?.place === "waiting";
    const knock = waits ? (this.#knock ?? "waiting") : this.#knock;
    const there = { inside: this.#names(this.#people.others()), waiting: this.#waiters(), knock };
    return words.lobbyWords(this.#session, this.#clock.now(), this.#people.reader, there);
  }

  #render() {
    const connection = this.#connection.state;
    this.#view.connection(words.connectionWords(connection, this.#isInside ? this.#studio.state : null));
    const session = this.#session;
    const now = this.#clock.now();
    const ready = connection === "ready" && session !== null && !this.#wanted && now >= session.opens_ms;
    const waiting = this.#wanted && session?.place === "waiting";
    const near = now > session?.opens_ms - LATE_NOTICE_MS && now < session?.agreed_end_ms;
    const late = words.latenessWords(this.#controls.lateness(session?.late), now, this.#people.reader);
    this.#view.lobby({ ...this.#lobbyWords(), late, ready, waiting, sayLate: near && !waiting });
    if (session === null) return;
    this.#view.modality(session.modality);
    this.#view.part(this.#part());
    this.#controls.render();
    this.#view.waiting(this.#waitingWords(late));
  }

  /** What stands where the others will be seen, as long as none of them is. */
  #waitingWords(late) {
    const others = this.#people.others();
    const { modality } = this.#session;
    if (others.length > 0 && modality === "chat") return this.#people.isGuest ? words.writingWords() : "";
    if (others.length > 0) return this.#studio.hasPeople ? "" : words.connectingWords(this.#names(others));
    const waiters = this.#waiters();
    if (waiters.length > 0) return words.waitersWords(waiters);
    return `${words.waitingWords(this.#people.reader)} ${late}`.trim();
  }

  #part() {
    const { reader, isGuest } = this.#people;
    if (reader === "observer") return "observer";
    if (isGuest) return "guest";
    return TALKING.includes(reader) ? "all" : "listener";
  }

  #tick() {
    const session = this.#session;
    if (session === null || this.#isOver) return;
    if (!this.#isInside) this.#render();
    this.#lookAtLink();
    // Whoever waits to be let in does not need to watch the time run.
    const waits = this.#here === "waiting";
    this.#view.clock(...(waits ? [""] : words.clockWords(session, this.#clock.now(), this.#people.reader)));
  }

  async #look() {
    await this.#controls.look(this.#isInside ? await this.#studio.stats() : null);
  }

  #complain(problem, label = "", remedy = null) {
    this.#remedy = remedy;
    this.#view.notice(problem, label);
  }

  /** Let something happen, and say so in words if it fails. */
  #run(promise) {
    return Promise.resolve(promise).catch((error) => this.#failed(error));
  }

  /** A lost connection shows and mends itself; what nobody foresaw goes where faults are reported. */
  #failed(error) {
    const late = this.#isOver && ["session_over", "already_rated"].includes(error.kind);
    if (late) return; // the farewell says so
    if (error instanceof RequestError || error instanceof NoReply) this.#complain(troubles.errorWords(error));
    else if (!(error instanceof ConnectionLost)) reportError(error);
  }
}

new SessionPage().start();
