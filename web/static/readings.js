/** What the messages of a log say here: in clear, as they were opened, or why they cannot be read. */

import { reasonWords, unknownTypeWords } from "./confidence.js";
import { uuidFromBytes } from "./uuid.js";

export class Readings {
  #store;
  #byPlace = new Map(); // place -> outcome
  #byMid = new Map(); // mid -> the outcome that opened it; after a restore it stands in another place

  /** Over a keystore, which has what was read before this page was loaded. */
  constructor(store) {
    this.#store = store;
  }

  /** Where nothing can be opened: `of` without any keys. */
  static withoutKeys({ body, ...event }) {
    const text = inClear(body.data);
    return text === null ? unreadable(event, "unsupported") : { key: body.mid, text, state: "sent" };
  }

  /**
   * Remember an outcome that opened a message or set it aside. Gives the key of a message that could not be read,
   * if it is opened now; else null.
   */
  keep(outcome) {
    const { what, room, place } = outcome;
    if (what !== "opened" && what !== "set_aside") return null;
    const key = placeOf(room, place.log, place.offset);
    const wasAside = this.#byPlace.get(key)?.what === "set_aside";
    this.#byPlace.set(key, outcome);
    if (what === "opened") this.#byMid.set(uuidFromBytes(outcome.mid), outcome);
    return wasAside && what === "opened" ? key : null;
  }

  /** Take up what the keystore has of a room; gives what there is to say besides about its messages. */
  async recall(room) {
    const outcomes = await this.#store.outcomes(room);
    for (const outcome of outcomes) this.keep(outcome);
    return outcomes.filter(({ what }) => what === "missing" || what === "archived");
  }

  /**
   * What a message event says: `{key, text, state}`, where the state is "sent", "clear" for what was not
   * encrypted, or "unreadable", and the key tells messages apart; with the `content` of what was opened and is no
   * text. Null when there is nothing to show. `isOld`:
   * it is behind this device, so that what is not known of it never will be.
   */
  of({ body, ...event }, { isOld = false } = {}) {
    const text = inClear(body.data);
    if (text !== null) return { key: body.mid, text, state: "clear" };
    const outcome = this.#byPlace.get(placeOf(event.room, event.epoch, event.offset)) ?? this.#again(body, event);
    if (outcome === null) return isOld ? unreadable(event, "before_this_device") : null;
    if (outcome.what === "set_aside") return unreadable(event, outcome.error);
    return Readings.ofOpened(outcome);
  }

  /** What an opened message says, as `of` gives it. */
  static ofOpened({ mid, content }) {
    const key = uuidFromBytes(mid);
    if (content.type === "text") return { key, text: content.text, state: "sent" };
    return { key, text: content.unknown ? unknownTypeWords() : "", content, state: "sent" };
  }

  /** All that was read of a room, whatever session it belongs to, the oldest first. */
  async all(room) {
    const outcomes = await this.#store.outcomes(room);
    return outcomes.filter(({ what }) => what === "opened" || what === "set_aside");
  }

  /** What was opened of a message of this device, or null. */
  async sent(room, mid) {
    await this.recall(room);
    return this.#byMid.get(uuidFromBytes(mid)) ?? null;
  }

  /** Let nothing of a session stay in the keystore. */
  async forget(room, session) {
    const outcomes = await this.#store.outcomes(room);
    await this.#store.forget(outcomes.filter((one) => one.session === session).map(({ id }) => id));
  }

  /** The same message of the same sender, read in an earlier life of the log. */
  #again({ mid }, { sender }) {
    const opened = this.#byMid.get(mid) ?? null;
    return opened?.account === sender ? opened : null;
  }
}

/** The text of a message that is not encrypted; null for one that is, which is never UTF-8. */
function inClear(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

function unreadable({ room, epoch, offset }, error) {
  return { key: placeOf(room, epoch, offset), text: reasonWords(error), state: "unreadable" };
}

function placeOf(room, epoch, offset) {
  return JSON.stringify([room, epoch, offset]);
}
