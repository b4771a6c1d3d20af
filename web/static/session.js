/**
 * A person's way through one session: lobby, session, farewell. It brings the connection, the call, the devices and
 * the chat together with what is to be seen, and leaves the doing to each of them.
 */

import { Call } from "./call.js";
import { Chat } from "./chat.js";
import { ServerClock, cuePassed, exactTime, roundTime } from "./clock.js";
import { Connection, ConnectionLost, NoReply, RequestError } from "./connection.js";
import { Devices, meter } from "./devices.js";
import { deviceId, readLink } from "./link.js";
import { decodeMediaState, encodeMediaState } from "./presence.js";
import { View } from "./view.js";
import * as words from "./words.js";

const KINDS = { video: ["audio", "video"], audio: ["audio"], chat: [] };
const OVER = ["ended", "cancelled", "no_show"];
const HISTORY = 256; // events before the cursor in which this session's messages are looked for after a reload

class SessionPage {
  #role = document.body.dataset.role;
  #link = readLink();
  #view = new View(document.getElementById("app"), (action) => this.#run(this.#actions[action]()));
  #chat = new Chat((text) => this.#write(text));
  #clock = new ServerClock();
  #devices = new Devices((kind, track) => this.#deviceChanged(kind, track));
  #connection = null;
  #call;
  #account = null;
  #roles = new Map(); // account -> role, of the room's members
  #session = null; // what is known of the session: a SessionView, kept up to date by events and signals
  #wanted = false; // the person pressed Join, and has not left
  #joined = false; // the server knows that on this connection
  #media = new Map(); // account -> {microphone, camera}
  #streams = new Map();
  #unread = 0;
  #left = Infinity; // milliseconds to the end when last looked at
  #stopMeter = null;

  #actions = {
    join: () => this.#enter(),
    microphone: () => this.#toggle("audio"),
    camera: () => this.#toggle("video"),
    chat: () => this.#openChat(),
    leave: () => this.#leave(),
    again: () => this.#again(),
    remedy: () => this.#remedy?.(),
  };
  #remedy = null;

  constructor() {
    this.#call = new Call({
      exchange: (sdp) => this.#exchange(sdp),
      handlers: {
        state: () => this.#showConnection(),
        stream: (account, stream) => this.#streamChanged(account, stream),
        failed: (error) => this.#complain(words.errorWords(error)),
      },
    });
  }

  start() {
    if (this.#link === null) {
      this.#view.farewell({ title: "This link is not complete", text: words.errorWords({ kind: "token_missing" }).advice });
      return;
    }
    this.#connection = new Connection({
      url: new URL("../v1/connect", import.meta.url),
      token: this.#link.token,
      device: deviceId(),
      handlers: {
        state: (state, detail) => this.#connectionChanged(state, detail),
        welcome: (frame) => this.#run(this.#welcomed(frame)),
        event: (frame) => this.#event(frame),
        signal: (frame) => this.#signal(frame),
      },
    });
    this.#view.toggleChat(matchMedia("(min-width: 60rem)").matches);
    this.#view.show("lobby");
    this.#showLobby();
    this.#connection.start();
    setInterval(() => this.#tick(), 500);
  }

  // --- The connection ------------------------------------------------------------------------------------

  async #welcomed(frame) {
    this.#clock.sync(frame.server_now_ms);
    this.#account = frame.account;
    const first = this.#session === null;
    this.#adopt(await this.#connection.request("session.get", { session: this.#link.session }));
    const { members } = await this.#connection.request("room.get", { room: this.#session.room });
    this.#roles = new Map(members.map(({ account, role }) => [account, role]));
    if (first) {
      await this.#recall(frame.rooms.find(({ room }) => room === this.#session.room));
      await this.#openDevices();
    }
    if (this.#wanted) await this.#join();
    this.#render();
  }

  /** The messages of this session that an earlier life of this page has acknowledged. */
  async #recall(head) {
    const after = Math.max(0, head.cursor - HISTORY);
    const { events } = await this.#connection.request("room.history", { room: head.room, after });
    for (const event of events) if (event.offset <= head.cursor) this.#message(event);
  }

  #connectionChanged(state, detail) {
    this.#joined = false;
    this.#showConnection();
    if (state !== "closed" || detail === null) return;
    this.#hangUp();
    const { text, advice } = words.closedWords(detail);
    this.#view.farewell({ title: text, text: advice, again: detail.code === 4509 ? "Continue here" : "" });
  }

  #event(frame) {
    if (frame.room !== this.#session?.room && this.#session !== null) return;
    const { body } = frame;
    if (body.session !== this.#link.session) return;
    if (body.kind === "message") this.#message(frame);
    else if (body.kind === "session") this.#sessionChanged(body);
  }

  #signal({ body, sender }) {
    if (body.kind === "opaque") this.#mediaState(sender, decodeMediaState(body.data));
    if (body.session !== this.#link.session) return;
    if (body.kind === "reoffer") this.#call.reoffer({ generation: body.generation, anew: body.reason === "disconnected" });
    else if (body.kind === "countdown") {
      this.#clock.sync(body.server_now_ms);
      this.#sessionChanged(body);
    }
  }

  // --- The session ---------------------------------------------------------------------------------------

  /** Take over what an event or a signal says of the session. */
  #sessionChanged({ state, modality, reason, agreed_end_ms, cap_ms, present }) {
    if (this.#session === null) return;
    const news = Object.entries({ state, modality, reason, agreed_end_ms, cap_ms, present });
    this.#adopt({ ...this.#session, ...Object.fromEntries(news.filter(([, value]) => value !== undefined)) });
  }

  #adopt(session) {
    const before = this.#others();
    const modalityBefore = this.#session?.modality;
    this.#session = session;
    if (session.server_now_ms) this.#clock.sync(session.server_now_ms);
    if (OVER.includes(session.state)) {
      this.#run(this.#finish());
      return;
    }
    if (this.#wanted && modalityBefore && modalityBefore !== session.modality) this.#run(this.#startCall());
    this.#greet(before);
    this.#render();
  }

  /** Tell who came and went, and tell newcomers whether we can be seen and heard. */
  #greet(before) {
    const now = this.#others();
    this.#call.expect(now.length);
    if (!this.#wanted) return;
    const came = now.filter((account) => !before.includes(account));
    for (const account of came) this.#view.announce(`${this.#name(account)} is here.`);
    for (const account of before) {
      if (!now.includes(account)) this.#view.announce(`${this.#name(account)} has left.`);
    }
    if (came.length > 0) this.#run(this.#tellMediaState());
  }

  async #enter() {
    this.#wanted = true;
    this.#complain(null);
    this.#view.show("room");
    try {
      await this.#join();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // lost: the next welcome joins
      this.#wanted = false;
      this.#view.show("lobby");
      throw error;
    }
  }

  async #join() {
    const session = await this.#connection.request("session.join", { session: this.#link.session });
    this.#joined = true;
    this.#adopt(session);
    if (this.#call.state === "closed") await this.#startCall();
    else this.#call.reoffer(); // signals are not kept: something may have changed while we were away
    await this.#tellMediaState();
  }

  async #leave() {
    const choice = this.#role === "therapist" ? await this.#view.askHowToLeave() : "leave";
    if (choice === "stay") return;
    const request = choice === "end" ? "session.end" : "session.leave";
    await this.#connection.request(request, { session: this.#link.session });
    if (choice === "end") return; // the server tells everyone, us too
    this.#wanted = this.#joined = false;
    this.#hangUp();
    this.#view.farewell({
      title: "You have left the session",
      text: "It goes on until its agreed end, and you can come back until then.",
      again: "Come back",
    });
  }

  async #again() {
    if (this.#connection.state === "closed") this.#connection.start();
    this.#wanted = false;
    this.#view.show("lobby");
    if (this.#session !== null) await this.#openDevices();
    this.#render();
  }

  async #finish() {
    if (this.#session.reason === undefined && this.#connection.state === "ready") {
      // A countdown says that it is over, but not why.
      this.#session = await this.#connection.request("session.get", { session: this.#link.session });
    }
    this.#wanted = false;
    this.#hangUp();
    if (this.#connection.state !== "closed") this.#connection.stop();
    this.#view.clock("");
    this.#complain(null);
    this.#view.farewell(words.endWords(this.#session, this.#role));
  }

  // --- Sound and picture ---------------------------------------------------------------------------------

  async #exchange(sdp) {
    if (!this.#joined) throw new ConnectionLost("not in the session yet");
    return this.#connection.request("media.offer", { session: this.#link.session, sdp });
  }

  async #startCall() {
    const kinds = KINDS[this.#session.modality];
    this.#call.close();
    for (const kind of kinds) await this.#call.send(kind, this.#devices.tracks[kind]);
    if (kinds.length > 0) this.#call.start(kinds);
  }

  async #openDevices() {
    const kinds = KINDS[this.#session.modality];
    await this.#devices.open(kinds);
    this.#showDevices();
    const failed = kinds.find((kind) => this.#devices.problems[kind] !== null);
    if (failed === undefined) return;
    const both = kinds.every((kind) => this.#devices.problems[kind] === this.#devices.problems[failed]);
    const problem = words.deviceWords(this.#devices.problems[failed], both && kinds.length > 1 ? "both" : failed);
    this.#complain(problem, "Try again", () => {
      this.#complain(null);
      return this.#openDevices();
    });
  }

  async #toggle(kind) {
    const on = !this.#devices.active(kind);
    if (kind === "audio") await this.#devices.setMicrophone(on);
    else await this.#devices.setCamera(on);
    const problem = this.#devices.problems[kind];
    this.#complain(on && problem ? words.deviceWords(problem, kind) : null);
    this.#showDevices();
    if (this.#joined) await this.#tellMediaState();
  }

  #deviceChanged(kind, track) {
    this.#run(this.#call.send(kind, track));
    if (kind === "audio") {
      this.#stopMeter?.();
      this.#stopMeter = track && meter(track, (level) => this.#view.level(level));
      if (!track) this.#view.level(0);
    }
    this.#showDevices();
  }

  #hangUp() {
    this.#call.close();
    this.#devices.close();
    this.#media.clear();
  }

  #streamChanged(account, stream) {
    if (stream === null) this.#streams.delete(account);
    else this.#streams.set(account, stream);
    this.#view.person(account, this.#name(account), stream);
    this.#showPerson(account);
    this.#render();
  }

  async #tellMediaState() {
    const state = { microphone: this.#devices.active("audio"), camera: this.#devices.active("video") };
    await this.#connection.signal(this.#session.room, { kind: "opaque", data: encodeMediaState(state) });
  }

  #mediaState(account, state) {
    if (state === null || account === this.#account) return;
    this.#media.set(account, state);
    this.#showPerson(account);
  }

  // --- Chat ----------------------------------------------------------------------------------------------

  #message({ body, sender, at_ms, offset }) {
    if (body.kind !== "message" || body.session !== this.#link.session) return;
    const mine = sender === this.#account;
    const text = new TextDecoder().decode(body.data);
    const author = mine ? "You" : this.#name(sender);
    const added = this.#chat.put({ mid: body.mid, text, author, mine, atMs: at_ms, offset });
    if (added && !mine && !this.#view.chatOpen) this.#view.unread(++this.#unread);
  }

  #write(text) {
    if (this.#session === null) return false;
    const data = new TextEncoder().encode(text);
    const { mid, done } = this.#connection.send(this.#session.room, data, this.#link.session);
    const message = { mid, text, author: "You", mine: true };
    this.#chat.put({ ...message, state: "pending" });
    const show = ({ at_ms, offset }) => this.#chat.put({ ...message, atMs: at_ms, offset });
    const refuse = (error) => {
      this.#chat.put({ ...message, state: "failed" });
      throw error;
    };
    this.#run(done.then(show, refuse));
    return true;
  }

  #openChat() {
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
    if (this.#session === null) return;
    this.#view.modality(this.#session.modality);
    this.#showLobby();
    this.#showConnection();
    const alone = this.#others().length === 0;
    const chat = this.#session.modality === "chat";
    const other = words.otherWords(this.#role);
    if (alone) this.#view.waiting(`You are in the right place. ${other[0].toUpperCase()}${other.slice(1)} is not here yet.`);
    else this.#view.waiting(chat || this.#streams.size > 0 ? "" : `Connecting you with ${other}…`);
  }

  #showLobby() {
    const session = this.#session;
    if (session === null) {
      this.#view.lobby({ title: "Welcome", when: "One moment, please…", before: "", ready: false });
      return;
    }
    const early = this.#clock.until(session.opens_ms);
    this.#view.lobby({
      title: `Your session with ${words.otherWords(this.#role)}`,
      when: times(session.starts_ms, session.agreed_end_ms),
      before: early > 0 ? `You can come in in ${roundTime(early)}.` : this.#whoIsThere(),
      ready: early === 0 && this.#connection.state === "ready",
    });
  }

  #whoIsThere() {
    if (this.#others().length > 0) return `${this.#name(this.#others()[0])} is already here.`;
    return "You can come in now. Take a moment to check how you look and sound.";
  }

  #showConnection() {
    const call = this.#wanted ? this.#call.state : null;
    this.#view.connection(words.connectionWords(this.#connection?.state ?? "idle", call));
    if (this.#session !== null && !this.#wanted) this.#showLobby();
  }

  #showDevices() {
    const camera = this.#devices.tracks.video;
    this.#view.self(camera, this.#devices.problems.video ? "No camera" : "Your camera is off");
    this.#view.toggles({ microphone: this.#devices.active("audio"), camera: camera !== null });
  }

  #showPerson(account) {
    const { microphone, camera } = this.#media.get(account) ?? { microphone: true, camera: true };
    const audioOnly = this.#session.modality === "audio";
    const veil = audioOnly ? this.#name(account) : camera ? "" : `${this.#name(account)}’s camera is off`;
    this.#view.personState(account, { veil, muted: !microphone });
  }

  #tick() {
    const session = this.#session;
    if (session === null || OVER.includes(session.state)) return;
    if (!this.#wanted) this.#showLobby();
    if (this.#clock.now() < session.starts_ms) {
      this.#view.clock(`Begins at ${hour.format(session.starts_ms)}`);
      return;
    }
    const overrun = session.state === "overrun";
    const left = this.#clock.until(overrun ? session.cap_ms : session.agreed_end_ms);
    const shown = this.#role === "therapist" ? exactTime(left) : roundTime(left);
    this.#view.clock(overrun ? `Over time, ${shown}` : `${shown} left`, left < 5 * 60_000 ? "soon" : "calm");
    const cue = cuePassed(this.#left, left);
    // How the end is brought up is for the therapist to choose.
    if (cue !== null && this.#role === "therapist" && this.#wanted) {
      this.#view.announce(cue === 1 ? "One minute left." : `${cue} minutes left.`);
    }
    this.#left = left;
  }

  #complain(problem, label = "", remedy = null) {
    this.#remedy = remedy;
    this.#view.notice(problem, label);
  }

  /** Let something happen, and say so in words if it fails. A lost connection shows by itself, and is mended. */
  #run(promise) {
    Promise.resolve(promise).catch((error) => {
      if (error instanceof ConnectionLost) return;
      if (!(error instanceof RequestError || error instanceof NoReply)) throw error;
      this.#complain(words.errorWords(error));
    });
  }
}

const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

function times(from, to) {
  return `${day.format(from)}, ${hour.formatRange(from, to)}`;
}

new SessionPage().start();
