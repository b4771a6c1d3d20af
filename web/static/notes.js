/**
 * A therapist's private notes about the room of a session: in a room of their own, sealed for their own devices.
 *
 * What was noted stays in this browser, unlike what was said in a session: no other place could open it again.
 */

import { Chat } from "./chat.js";
import { reasonWords, unknownTypeWords } from "./confidence.js";
import { ask } from "./panels.js";
import { uuidFromBytes } from "./uuid.js";

/** Whether a room is one of notes. */
export function isNotes(room) {
  return room.startsWith("notes:");
}

export class Notes {
  #page;
  #room = null; // once they were opened
  #chat = new Chat((text) => this.#write(text), { list: "notes", form: "note", field: "note-text" });

  /** By `data-action`: what the buttons do. */
  actions = {
    notes: () => this.#open(),
  };

  /**
   * `page` has `openNotes()` and `send(room, content)`, as Encryption does, and `failed(error)`.
   */
  constructor(page) {
    this.#page = page;
  }

  /** Show an outcome of a room of notes, if it is the one that is open. */
  noted({ what, room, place, mid, content, error }) {
    if (room !== this.#room) return;
    const isRead = what === "opened";
    const key = isRead ? uuidFromBytes(mid) : `${place.log} ${place.offset}`;
    const text = isRead ? (content.text ?? unknownTypeWords()) : reasonWords(error);
    const state = isRead ? "sent" : "unreadable";
    this.#chat.put({ mid: key, text, author: "You", mine: true, state, offset: place.offset });
  }

  async #open() {
    const { room, outcomes } = await this.#page.openNotes();
    this.#room = room;
    for (const outcome of outcomes) this.noted(outcome);
    await ask("noting");
  }

  #write(text) {
    const { mid, done } = this.#page.send(this.#room, { type: "text", text });
    this.#chat.put({ mid, text, author: "You", mine: true, state: "pending" });
    done.catch((error) => {
      this.#chat.mark(mid, "failed");
      this.#page.failed(error);
    });
    return true;
  }
}
