/** The session's messages: from the room's log to the chat, and from the chat to the room's log. */

import { Chat } from "./chat.js";

/** Events before the cursor among which this session's messages are looked for when the page begins. */
const HISTORY = 256;

export class Conversation {
  #page;
  #session;
  #chat = new Chat((text) => this.#write(text));

  /**
   * `page` has `send(data)`, which gives `{mid, done}` or null while nothing can be sent, `name(account)`,
   * `isSelf(account)`, `arrived()` for a new message from someone else, and `failed(error)`.
   */
  constructor(session, page) {
    this.#session = session;
    this.#page = page;
  }

  /** Show what an earlier life of this page acknowledged, up to the `cursor` of the room's head. */
  async recall(request, { room, cursor }) {
    const { events } = await request("room.history", { room, after: Math.max(0, cursor - HISTORY) });
    for (const event of events) if (event.offset <= cursor) this.take(event);
  }

  /** Show an event's message, if it holds one of this session. */
  take({ body, sender, at_ms, offset }) {
    if (body.kind !== "message" || body.session !== this.#session) return;
    const mine = this.#page.isSelf(sender);
    const author = mine ? "You" : this.#page.name(sender);
    const text = new TextDecoder().decode(body.data);
    const added = this.#chat.put({ mid: body.mid, text, author, mine, atMs: at_ms, offset });
    if (added && !mine) this.#page.arrived();
  }

  /** Whether the text is on its way, so that the field can be emptied. */
  #write(text) {
    const sending = this.#page.send(new TextEncoder().encode(text));
    if (sending === null) return false;
    const message = { mid: sending.mid, text, author: "You", mine: true };
    this.#chat.put({ ...message, state: "pending" });
    sending.done.then(
      ({ at_ms, offset }) => this.#chat.put({ ...message, atMs: at_ms, offset }),
      (error) => {
        this.#chat.put({ ...message, state: "failed" });
        this.#page.failed(error);
      },
    );
    return true;
  }
}
