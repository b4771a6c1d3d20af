/** The session's messages: from the room's log to the chat, and from the chat to the room's log. */

import { Chat } from "./chat.js";
import { timeOf } from "./uuid.js";

/** Events before the cursor among which this session's messages are looked for when the page begins. */
const HISTORY = 256;

export class Conversation {
  #page;
  #session;
  #chat = new Chat((text) => this.#write(text));

  /**
   * `page` has `send(text)`, which gives `{mid, done}` or null while nothing can be sent, `read(event, options)`,
   * which gives what a message says, as `Readings` does, `card(mid, content, mine)`, which gives
   * the element for what is no text, or null, `recall(room, cursor)`, `name(account)`, `isSelf(account)`, `arrived()` for a new message from someone else,
   * `refused(error)` for a message that the server will not have, and `failed(error)`.
   */
  constructor(session, page) {
    this.#session = session;
    this.#page = page;
  }

  /** Show what an earlier life of this page took in; as far as the server knows, up to the `cursor`. */
  async recall(request, { room, cursor }) {
    const taken = await this.#page.recall(room, cursor); // what is behind that comes by itself
    let after = Math.max(0, taken - HISTORY);
    while (after < taken) {
      const { events } = await request("room.history", { room, after });
      for (const event of events) if (event.offset <= taken) this.take({ ...event, room }, { isOld: true });
      after = events.at(-1)?.offset ?? taken; // there are fewer at a time when they are large
    }
  }

  /** Show an event's message, if it holds one of this session. */
  take(event, options) {
    const { body, sender, at_ms, offset } = event;
    if (body.kind !== "message" || body.session !== this.#session) return;
    const reading = this.#page.read(event, options);
    if (reading === null) return;
    const urgent = body.urgent === true;
    const added = this.#show(reading, sender, { urgent, atMs: at_ms, offset });
    if (added && !this.#by(sender).mine) this.#page.arrived();
  }

  /** Put a message that can be read at last in the place of what was said of it, under the key `unread`. */
  reveal(unread, { account, place, session }, reading) {
    if (session !== this.#session) return;
    this.#chat.remove(unread);
    const atMs = timeOf(reading.key); // of its sender's clock: when the server had it is not known any more
    this.#show(reading, account, { atMs, offset: place.offset });
  }

  /** Show something about the messages of someone that stand at this place and after it. */
  note({ account, place }, text) {
    const mid = `${text} ${place.log} ${place.offset}`;
    this.#chat.put({ mid, text, ...this.#by(account), state: "unreadable", offset: place.offset - 0.5 });
  }

  /** Show one's own card before its message is in the log; its state as in `Chat`. */
  begin(mid, card, state = "draft") {
    this.#chat.put({ mid, card, author: "You", mine: true, state });
  }

  /** Say what has become of one's own message. */
  mark(mid, state) {
    this.#chat.mark(mid, state);
  }

  /** Take back what was begun and is not to be sent. */
  remove(mid) {
    this.#chat.remove(mid);
  }

  /** A message was refused for good. One that is not shown was for a session that is over. */
  notSent(mid, error) {
    if (this.#chat.mark(mid, "failed")) this.#page.refused(error);
  }

  /** Show what a message says, of someone; whether it is new. */
  #show({ key, text, content = null, state }, sender, more) {
    const by = this.#by(sender);
    const card = content === null ? null : this.#page.card(key, content, by.mine);
    return this.#chat.put({ mid: key, text, card, ...by, state, ...more });
  }

  #by(account) {
    const mine = this.#page.isSelf(account);
    return { mine, author: mine ? "You" : this.#page.name(account) };
  }

  /** Whether the text is on its way, so that the field can be emptied. */
  #write(text) {
    const sending = this.#page.send(text);
    if (sending === null) return false;
    const message = { mid: sending.mid, text, author: "You", mine: true };
    this.#chat.put({ ...message, state: "pending" });
    sending.done.then(
      // What is encrypted is shown as sent when it stands in the log.
      (stored) => stored && this.#chat.put({ ...message, atMs: stored.at_ms, offset: stored.offset }),
      (error) => {
        this.#chat.put({ ...message, state: "failed" });
        this.#page.failed(error);
      },
    );
    return true;
  }
}
