/**
 * Sound and picture of one person's page: the devices, the call, and what is seen of everybody.
 *
 * It is told which media the session has and when to be in it; what a session is, and how an offer reaches
 * the server, is left to the page.
 */

import { Call } from "./call.js";
import { Devices, meter } from "./devices.js";
import { decodeMediaState, encodeMediaState } from "./presence.js";
import { deviceWords } from "./troubles.js";

const KINDS = { video: ["audio", "video"], audio: ["audio"], chat: [] };
const PRESUMED = { microphone: true, camera: true }; // until someone's page tells

export class Studio {
  #view;
  #page;
  #devices = new Devices((kind, track) => this.#deviceChanged(kind, track));
  #call;
  #modality = "chat";
  #looksOn = false;
  #people = new Map(); // account -> MediaStream
  #states = new Map(); // account -> {microphone, camera}
  #stopMeter = null;

  /**
   * `page` has `exchange(sdp)`, `relays()`, `name(account)`, `changed()` for whatever is worth another look,
   * `complain(words, remedy, action)` and `failed(error)`.
   */
  constructor(view, page) {
    this.#view = view;
    this.#page = page;
    this.#call = new Call({
      exchange: page.exchange,
      relays: page.relays,
      handlers: {
        state: () => page.changed(),
        stream: (account, stream) => this.#streamChanged(account, stream),
        failed: page.failed,
      },
    });
    this.#showSelf();
  }

  /** The call's state: see `Call`. */
  get state() {
    return this.#call.state;
  }

  /** Whether anyone else's sound or picture is there. */
  get hasPeople() {
    return this.#people.size > 0;
  }

  /**
   * Ask for the devices that this modality needs, and let go of the others; what cannot be had is said, and
   * the rest goes on.
   */
  async open(modality) {
    this.#modality = modality;
    const kinds = this.#looksOn ? [] : KINDS[modality];
    this.#devices.keep(kinds);
    await this.#devices.open(kinds);
    this.#showSelf();
    const failed = kinds.filter((kind) => this.#devices.problems[kind] !== null);
    if (failed.length === 0) return;
    const what = failed.length > 1 ? "both" : failed[0];
    this.#page.complain(deviceWords(this.#devices.problems[failed[0]], what), "Try again", () => {
      this.#page.complain(null);
      return this.open(modality);
    });
  }

  /** Only look on from now: nothing of one's own is sent. */
  lookOn() {
    this.#looksOn = true;
    this.#devices.close();
    this.#showSelf();
  }

  /** Be in the call, with what this modality has; a call that is under way already is looked after. */
  async enter(modality) {
    if (this.#call.state !== "closed" && modality === this.#modality) {
      this.#call.reoffer(); // signals are not kept: something may have changed while we were away
      return;
    }
    this.#call.close();
    await this.open(modality);
    if (modality !== this.#modality) return; // changed again while a device was being opened
    for (const kind of KINDS[modality]) await this.#call.send(kind, this.#devices.tracks[kind]);
    if (KINDS[modality].length > 0) this.#call.start(KINDS[modality]);
  }

  /** The server asks for an offer. */
  reoffer({ generation, reason }) {
    this.#call.reoffer({ generation, anew: reason === "disconnected" });
  }

  /** How many other people are there. */
  expect(others) {
    this.#call.expect(others);
  }

  /** Hang up; the devices stay open for who is about to come in again. */
  hangUp() {
    this.#call.close();
  }

  /** The statistics of the link, or null when there is none. */
  stats() {
    return this.#call.stats();
  }

  /** Hang up and let go of the devices. */
  leave() {
    this.#call.close();
    this.#devices.close();
    this.#states.clear();
  }

  /** Switch the microphone ("audio") or the camera ("video") on or off. */
  async toggle(kind) {
    const on = !this.#devices.active(kind);
    await this.#devices.set(kind, on);
    const problem = this.#devices.problems[kind];
    this.#page.complain(on && problem ? deviceWords(problem, kind) : null);
    this.#showSelf();
  }

  /** What the other pages are to know of our devices: the data of a signal. */
  tell() {
    const [microphone, camera] = ["audio", "video"].map((kind) => this.#devices.active(kind));
    return encodeMediaState({ microphone, camera });
  }

  /** What someone's page tells of theirs. */
  told(account, data) {
    const state = decodeMediaState(data);
    if (state === null) return;
    this.#states.set(account, state);
    this.#showPerson(account);
  }

  #deviceChanged(kind, track) {
    this.#call.send(kind, track).catch(this.#page.failed);
    if (kind === "audio") {
      this.#stopMeter?.();
      this.#stopMeter = track && meter(track, (level) => this.#view.level(level));
      this.#view.level(0);
    }
    this.#showSelf();
  }

  #showSelf() {
    const camera = this.#devices.tracks.video;
    this.#view.self(camera, this.#devices.problems.video ? "No camera" : "Your camera is off");
    this.#view.toggles({ microphone: this.#devices.active("audio"), camera: camera !== null });
  }

  #streamChanged(account, stream) {
    if (stream === null) this.#people.delete(account);
    else this.#people.set(account, stream);
    this.#view.person(account, this.#page.name(account), stream);
    if (stream !== null) this.#showPerson(account);
    this.#page.changed();
  }

  #showPerson(account) {
    const { microphone, camera } = this.#states.get(account) ?? PRESUMED;
    const cameraOff = camera ? "" : `${this.#page.name(account)} has the camera off`;
    const veil = this.#modality === "audio" ? "Sound only" : cameraOff;
    this.#view.personState(account, { veil, muted: !microphone });
  }
}
