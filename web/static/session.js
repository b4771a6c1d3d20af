/**
 * The page of a session: it puts the parts together, tells each what concerns it, and says in words what fails.
 */

import { ConnectionLost, NoReply, RequestError } from "./connection.js";
import { Consents } from "./consents.js";
import { Controls } from "./controls.js";
import { Conversation } from "./conversation.js";
import { Display } from "./display.js";
import { E2eeError } from "./e2ee/errors.js";
import { Encryption } from "./encryption.js";
import { Entrance } from "./entrance.js";
import { Farewell } from "./farewell.js";
import { Files } from "./files.js";
import { Line } from "./line.js";
import { readLink } from "./link.js";
import { Notes } from "./notes.js";
import { Questionnaires } from "./questionnaires.js";
import { Studio } from "./studio.js";
import { Tidings } from "./tidings.js";
import * as troubles from "./troubles.js";
import { View } from "./view.js";
import { Visit } from "./visit.js";
import * as words from "./words.js";

const TICK_MS = 500;
const LOOK_MS = 4000; // between two looks at the link

class SessionPage {
  #visit;
  #view = new View(document.getElementById("app"), (action, data) => this.#run(this.#actions[action](data)));
  #line;
  #studio;
  #controls;
  #conversation;
  #encryption;
  #files;
  #questionnaires;
  #notes;
  #consents;
  #entrance;
  #farewell;
  #tidings;
  #display;
  #unread = 0;
  #remedy = null;
  #actions;

  constructor(link) {
    this.#visit = new Visit(link.session, document.body.dataset.role);
    this.#line = this.#connect(link);
    this.#studio = this.#openStudio();
    this.#controls = this.#offerControls();
    this.#conversation = this.#converse();
    this.#encryption = this.#encrypt();
    this.#files = this.#handFiles();
    this.#questionnaires = this.#handQuestionnaires();
    this.#notes = this.#keepNotes();
    const page = this.#whatPartsShare();
    this.#display = new Display(this.#visit, page);
    this.#consents = new Consents(this.#visit, this.#line, page);
    this.#entrance = new Entrance(this.#visit, this.#line, { ...page, consents: this.#consents });
    this.#farewell = new Farewell(this.#visit, this.#line, page);
    this.#tidings = new Tidings(this.#visit, { ...page, entrance: this.#entrance });
    this.#actions = {
      ...this.#consents.actions,
      ...this.#entrance.actions,
      ...this.#farewell.actions,
      ...this.#controls.actions,
      ...this.#encryption.actions,
      ...this.#files.actions,
      ...this.#questionnaires.actions,
      ...this.#notes.actions,
      microphone: () => this.#toggle("audio"),
      camera: () => this.#toggle("video"),
      chat: () => this.#toggleChat(),
      remedy: () => this.#remedy?.(),
    };
  }

  start() {
    this.#view.toggleChat(matchMedia("(min-width: 60rem)").matches);
    this.#view.show("lobby");
    this.#display.render();
    this.#run(this.#line.start());
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.#run(this.#look()), LOOK_MS);
  }

  // --- The parts -----------------------------------------------------------------------------------------

  #connect(link) {
    return new Line(link, {
      seal: (options) => this.#encryption.begin(options),
      changed: (state, detail) => this.#connectionChanged(state, detail),
      arrive: (welcome) => this.#entrance.arrive(welcome),
      turnedAway: (error) => this.#farewell.turnedAway(error),
      event: (frame) => this.#tidings.event(frame),
      signal: (frame) => this.#tidings.signal(frame),
      run: (promise) => this.#run(promise),
      failed: (error) => this.#failed(error),
      warn: (expires) => this.#complain(troubles.linkEndsWords(words.timeOfDay(expires))),
      renewed: () => this.#complain(null),
    });
  }

  #openStudio() {
    return new Studio(this.#view, {
      exchange: (sdp) => this.#exchange(sdp),
      relays: () => this.#relays(),
      name: (account) => this.#visit.people.name(account),
      changed: () => this.#display.render(),
      complain: (...problem) => this.#complain(...problem),
      failed: (error) => this.#failed(error),
    });
  }

  #offerControls() {
    return new Controls({
      people: this.#visit.people,
      session: () => this.#visit.session,
      request: (op, fields) => this.#line.insist(op, fields),
      adopt: (session) => this.#adopt(session),
      announce: (text) => this.#view.announce(text),
      news: (text) => this.#view.news(text),
      complain: (...problem) => this.#complain(...problem),
    });
  }

  #converse() {
    const { people, id } = this.#visit;
    return new Conversation(id, {
      send: (text) => this.#send(text),
      read: (event, options) => this.#encryption.read(event, options),
      card: (mid, content, mine) => this.#card(mid, content, mine),
      recall: (room, cursor) => this.#encryption.recall(room, cursor),
      refused: (error) => this.#complain(troubles.errorWords(error)),
      name: (account) => people.name(account),
      isSelf: (account) => account === people.account,
      arrived: () => this.#messageArrived(),
      failed: (error) => this.#failed(error),
    });
  }

  #encrypt() {
    return new Encryption(this.#visit, {
      conversation: this.#conversation,
      noted: (outcome) => this.#notes.noted(outcome),
      name: (account) => this.#visit.people.name(account),
      takenOver: () => this.#takenOver(),
      complain: (...problem) => this.#complain(...problem),
      run: (promise) => this.#run(promise),
      failed: (error) => this.#failed(error),
    });
  }

  #handFiles() {
    return new Files({
      conversation: this.#conversation,
      room: () => this.#visit.session.room,
      blobs: () => this.#encryption.blobs,
      send: (content, options) => this.#sendSealed(content, options),
      run: (promise) => this.#run(promise),
    });
  }

  #handQuestionnaires() {
    return new Questionnaires({
      conversation: this.#conversation,
      isTherapist: () => this.#visit.people.reader === "therapist",
      send: (content, options) => this.#sendSealed(content, options),
    });
  }

  #keepNotes() {
    return new Notes({
      openNotes: () => this.#encryption.openNotes(),
      send: (room, content) => this.#encryption.send(room, content, null),
      failed: (error) => this.#failed(error),
    });
  }

  #whatPartsShare() {
    return {
      view: this.#view,
      line: this.#line,
      studio: this.#studio,
      controls: this.#controls,
      conversation: this.#conversation,
      encryption: this.#encryption,
      adopt: (session) => this.#adopt(session),
      refresh: async () => this.#adopt(await this.#line.request("session.get")),
      render: () => this.#display.render(),
      announceLobby: () => this.#display.announceLobby(),
      goOut: (farewell) => this.#farewell.goOut(farewell),
      tellDevices: () => this.#tellDevices(),
      complain: (...problem) => this.#complain(...problem),
      run: (promise) => this.#run(promise),
      failed: (error) => this.#failed(error),
    };
  }

  // --- What happens --------------------------------------------------------------------------------------

  #connectionChanged(state, detail) {
    this.#visit.here = "outside";
    this.#display.render();
    if (state === "closed" && detail !== null) this.#farewell.closed(detail); // else closed by ourselves
  }

  /** Take over how the session stands, with all that follows from it. */
  #adopt(session) {
    const { people } = this.#visit;
    const before = { session: this.#visit.session, people: people.others() };
    this.#visit.take(session);
    if (this.#visit.isOver) {
      this.#files.stop();
      this.#run(this.#farewell.finish());
      return;
    }
    this.#studio.expect(people.others().length);
    const switched = before.session?.modality !== session.modality;
    if (this.#visit.isInside && switched) this.#run(this.#studio.enter(session.modality));
    if (this.#visit.wanted) this.#tellWhoCame(before.people, people.others());
    this.#display.render();
  }

  #tellWhoCame(before, now) {
    const name = (account) => this.#visit.people.name(account);
    const came = now.filter((account) => !before.includes(account));
    const went = before.filter((account) => !now.includes(account));
    for (const account of came) this.#view.announce(`${name(account)} is here.`);
    for (const account of went) this.#view.announce(`${name(account)} has left.`);
    if (came.length === 0 || !this.#visit.isInside) return;
    this.#run(this.#tellDevices());
    this.#run(this.#encryption.lookAround());
  }

  async #exchange(sdp) {
    if (!this.#visit.isInside) throw new ConnectionLost("not in the session yet");
    return this.#line.request("media.offer", { sdp });
  }

  async #relays() {
    if (!this.#visit.isInside) throw new ConnectionLost("not in the session yet");
    return (await this.#line.request("media.relays", {})).relays;
  }

  async #toggle(kind) {
    await this.#studio.toggle(kind);
    if (this.#visit.isInside) await this.#tellDevices();
  }

  async #tellDevices() {
    if (this.#visit.people.isGuest) return; // only members of the room tell each other
    const signal = { kind: "opaque", data: this.#studio.tell() };
    await this.#line.connection.signal(this.#visit.session.room, signal);
  }

  /** Encrypted, wherever that is possible; where it is not, the page says so above the messages. */
  #send(text) {
    const { session, id } = this.#visit;
    if (session === null) return null;
    const sealed = this.#encryption.send(session.room, { type: "text", text }, id);
    return sealed ?? this.#line.connection.send(session.room, new TextEncoder().encode(text), id);
  }

  /** What is no text goes encrypted or not at all. */
  async #sendSealed(content, options) {
    const { session, id } = this.#visit;
    await this.#encryption.send(session.room, content, id, options).done;
  }

  /** The element that shows a content which is no text; null for a type that this page does not know. */
  #card(mid, content, mine) {
    switch (content.type) {
      case "attachment": return this.#files.cardOf(mid, content);
      case "form": return this.#questionnaires.formCardOf(mid, content, mine);
      case "form_result": return this.#questionnaires.resultCardOf(content, mine);
      default: return null;
    }
  }

  /** Another page of this browser goes on with the device: the server is about to say the same. */
  #takenOver() {
    this.#line.stop();
    this.#farewell.closed({ code: troubles.REPLACED, error: null });
  }

  #messageArrived() {
    if (!this.#view.chatOpen) this.#view.unread(++this.#unread);
  }

  #toggleChat() {
    if (this.#view.toggleChat()) this.#view.unread((this.#unread = 0));
  }

  #tick() {
    const { session, isInside, isOver, clock } = this.#visit;
    if (session === null || isOver) return;
    if (!isInside) this.#display.render();
    this.#line.lookAtLink(clock.now(), session.cap_ms);
    this.#display.clock();
  }

  async #look() {
    await this.#controls.look(this.#visit.isInside ? await this.#studio.stats() : null);
  }

  // --- What goes wrong -----------------------------------------------------------------------------------

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
    const late = this.#visit.isOver && ["session_over", "already_rated"].includes(error.kind);
    if (late) return; // the farewell says so
    const told = [RequestError, NoReply, E2eeError];
    if (told.some((kind) => error instanceof kind)) this.#complain(troubles.errorWords(error));
    else if (!(error instanceof ConnectionLost)) reportError(error);
  }
}

const link = readLink();
if (link === null) new View(document.getElementById("app"), () => null).farewell(troubles.noLinkWords());
else new SessionPage(link).start();
