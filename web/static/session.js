/**
 * A person's way through one session: lobby, session, farewell.
 *
 * It brings the connection, the clock, sound and picture, and the messages together with what is to be seen,
 * and leaves the doing to each of them.
 */

import { ServerClock, cuePassed, exactTime, roundTime } from "./clock.js";
import { Connection, ConnectionLost, NoReply, RequestError } from "./connection.js";
import { Conversation } from "./conversation.js";
import { deviceId, readLink } from "./link.js";
import { Studio } from "./studio.js";
import { View } from "./view.js";
import * as words from "./words.js";

const OVER = ["ended", "cancelled", "no_show"];
const SOON_MS = 5 * 60_000;

class SessionPage {
  #role = document.body.dataset.role;
  #id; // of the session
  #view = new View(document.getElementById("app"), (action) => this.#run(this.#actions[action]()));
  #clock = new ServerClock();
  #connection = null;
  #studio;
  #conversation = null;
  #account = null;
  #roles = new Map(); // account -> role, of the room's members
  #session = null; // what is known of the session: a SessionView, kept up to date by events and signals
  #wanted = false; // the person pressed Join, and has not left
  #joining = null; // the promise of a join that is under way
  #joined = false; // the server knows that, on this connection
  #unread = 0;
  #left = 0; // milliseconds to the end when last looked at; 0 before the first look
  #remedy = null;
  #actions = {
    join: () => this.#enter(),
    microphone: () => this.#toggle("audio"),
    camera: () => this.#toggle("video"),
    chat: () => this.#toggleChat(),
    leave: () => this.#leave(),
    again: () => this.#again(),
    remedy: () => this.#remedy?.(),
  };

  constructor() {
    this.#studio = new Studio(this.#view, {
      exchange: (sdp) => this.#exchange(sdp),
      name: (account) => this.#name(account),
      changed: () => this.#render(),
      complain: (...problem) => this.#complain(...problem),
      failed: (error) => this.#failed(error),
    });
  }

  start() {
    const link = readLink();
    if (link === null) {
      this.#view.farewell(words.noLinkWords());
      return;
    }
    this.#id = link.session;
    this.#connection = new Connection({
      url: new URL("../v1/connect", import.meta.url),
      token: link.token,
      device: deviceId(),
      handlers: {
        state: (state, detail) => this.#connectionChanged(state, detail),
        welcome: (frame) => this.#run(this.#welcomed(frame).catch((error) => this.#turnedAway(error))),
        event: (frame) => this.#event(frame),
        signal: (frame) => this.#signal(frame),
      },
    });
    this.#conversation = new Conversation(this.#id, {
      send: (data) => this.#session && this.#connection.send(this.#session.room, data, this.#id),
      name: (account) => this.#name(account),
      isSelf: (account) => account === this.#account,
      arrived: () => this.#messageArrived(),
      failed: (error) => this.#failed(error),
    });
    this.#view.toggleChat(matchMedia("(min-width: 60rem)").matches);
    this.#view.show("lobby");
    this.#render();
    this.#connection.start();
    setInterval(() => this.#tick(), 500);
  }

  // --- The connection ------------------------------------------------------------------------------------

  async #welcomed(frame) {
    this.#clock.sync(frame.server_now_ms);
    this.#account = frame.account;
    const first = this.#session === null;
    const session = await this.#request("session.get");
    const { members } = await this.#connection.request("room.get", { room: session.room });
    this.#roles = new Map(members.map(({ account, role }) => [account, role]));
    this.#adopt(session);
    if (OVER.includes(session.state)) return;
    if (first) {
      const head = frame.rooms.find(({ room }) => room === session.room);
      await this.#conversation.recall((op, fields) => this.#connection.request(op, fields), head);
      await this.#studio.open(session.modality);
    }
    if (this.#wanted && !this.#joined) await this.#join();
  }

  /** There is nothing here for this person: say so instead of a lobby that leads nowhere. */
  #turnedAway(error) {
    if (!(error instanceof RequestError) || error.temporary) throw error;
    this.#connection.stop();
    this.#studio.leave();
    this.#view.farewell(words.turnedAwayWords(error));
  }

  #connectionChanged(state, detail) {
    this.#joined = false;
    this.#render();
    if (state !== "closed" || detail === null) return; // closed by ourselves
    this.#studio.leave();
    this.#view.farewell(words.closedWords(detail));
  }

  #event(frame) {
    if (frame.body.session !== this.#id) return;
    this.#conversation.take(frame);
    if (frame.body.kind === "session") this.#update(frame.body);
  }

  #signal({ body, sender }) {
    if (body.kind === "opaque" && sender !== this.#account) this.#studio.told(sender, body.data);
    if (body.session !== this.#id) return;
    if (body.kind === "reoffer") this.#studio.reoffer(body);
    else if (body.kind === "countdown") this.#update(body);
  }

  /** A request about this session. */
  #request(op, fields = {}) {
    return this.#connection.request(op, { session: this.#id, ...fields });
  }

  async #exchange(sdp) {
    if (!this.#joined) throw new ConnectionLost("not in the session yet");
    return this.#request("media.offer", { sdp });
  }

  // --- The session ---------------------------------------------------------------------------------------

  /** Take over what an event or a signal says of the session. */
  #update({ state, modality, reason, server_now_ms, agreed_end_ms, cap_ms, present }) {
    if (this.#session === null) return;
    const news = { state, modality, reason, server_now_ms, agreed_end_ms, cap_ms, present };
    const given = Object.entries(news).filter(([, value]) => value !== undefined);
    this.#adopt({ ...this.#session, server_now_ms: undefined, ...Object.fromEntries(given) });
  }

  #adopt(session) {
    const before = this.#session;
    const people = this.#others();
    this.#session = session;
    if (session.server_now_ms !== undefined) this.#clock.sync(session.server_now_ms);
    if (OVER.includes(session.state)) {
      this.#run(this.#finish());
      return;
    }
    this.#studio.expect(this.#others().length);
    if (this.#joined && before.modality !== session.modality) this.#run(this.#studio.enter(session.modality));
    if (this.#wanted) this.#tellWhoCame(people, this.#others());
    this.#render();
  }

  #tellWhoCame(before, now) {
    const came = now.filter((account) => !before.includes(account));
    const went = before.filter((account) => !now.includes(account));
    for (const account of came) this.#view.announce(`${this.#name(account)} is here.`);
    for (const account of went) this.#view.announce(`${this.#name(account)} has left.`);
    if (came.length > 0) this.#run(this.#tellDevices());
  }

  async #enter() {
    this.#wanted = true;
    this.#complain(null);
    this.#view.show("room");
    try {
      await this.#join();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // the connection is lost: the next welcome joins
      this.#wanted = false;
      this.#view.show("lobby");
      throw error;
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
    const session = await this.#connection.before(this.#request("session.join"));
    this.#adopt(session);
    this.#joined = true;
    await this.#studio.enter(session.modality);
    await this.#tellDevices();
  }

  async #leave() {
    const choice = this.#role === "therapist" ? await this.#view.askHowToLeave() : "leave";
    if (choice === "end") await this.#request("session.end"); // the server tells everyone, us too
    if (choice !== "leave") return;
    await this.#request("session.leave");
    this.#wanted = this.#joined = false;
    this.#studio.leave();
    this.#view.farewell(words.leftWords());
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
    if (this.#connection.state !== "closed") this.#connection.stop();
    this.#view.clock("");
    this.#complain(null);
    this.#view.farewell(words.endWords(this.#session, this.#role));
  }

  async #toggle(kind) {
    await this.#studio.toggle(kind);
    if (this.#joined) await this.#tellDevices();
  }

  async #tellDevices() {
    await this.#connection.signal(this.#session.room, { kind: "opaque", data: this.#studio.tell() });
  }

  #messageArrived() {
    if (!this.#view.chatOpen) this.#view.unread(++this.#unread);
  }

  #toggleChat() {
    if (this.#view.toggleChat()) this.#view.unread((this.#unread = 0));
  }

  // --- What is shown -------------------------------------------------------------------------------------

  #others() {
    return (this.#session?.present ?? []).filter((account) => account !== this.#account);
  }

  #name(account) {
    return words.personWords(this.#role, this.#roles.get(account));
  }

  #render() {
    const connection = this.#connection.state;
    this.#view.connection(words.connectionWords(connection, this.#wanted ? this.#studio.state : null));
    const session = this.#session;
    const ready = connection === "ready" && session !== null && this.#clock.now() >= session.opens_ms;
    const someone = this.#others().length > 0 ? this.#name(this.#others()[0]) : null;
    this.#view.lobby({ ...words.lobbyWords(session, this.#clock.now(), this.#role, someone), ready });
    if (session === null) return;
    this.#view.modality(session.modality);
    const connected = session.modality === "chat" || this.#studio.hasPeople;
    this.#view.waiting(someone && connected ? "" : words.waitingWords(this.#role, someone !== null));
  }

  #tick() {
    const session = this.#session;
    if (session === null || OVER.includes(session.state)) return;
    if (!this.#wanted) this.#render();
    if (this.#clock.now() < session.starts_ms) {
      this.#view.clock(`Begins at ${words.timeOfDay(session.starts_ms)}`);
      return;
    }
    const overrun = session.state === "overrun";
    const left = this.#clock.until(overrun ? session.cap_ms : session.agreed_end_ms);
    const shown = this.#role === "therapist" ? exactTime(left) : roundTime(left);
    this.#view.clock(overrun ? `Over time, ${shown}` : `${shown} left`, left < SOON_MS ? "soon" : "calm");
    const cue = cuePassed(this.#left, left);
    // How the end is brought up is for the therapist to choose: nobody else is reminded aloud.
    if (cue !== null && this.#role === "therapist" && this.#wanted) this.#view.announce(words.cueWords(cue));
    this.#left = left;
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
    if (error instanceof RequestError || error instanceof NoReply) this.#complain(words.errorWords(error));
    else if (!(error instanceof ConnectionLost)) reportError(error);
  }
}

new SessionPage().start();
