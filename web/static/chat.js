/** The list of messages and the field they are written in. Each is shown once, however often it comes. */

const time = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const STATES = {
  draft: "",
  pending: "Sending…",
  failed: "Not sent",
  sent: "",
  clear: "Not encrypted",
  unreadable: "",
};

export class Chat {
  #list;
  #items = new Map(); // mid -> list item
  #field;
  #followsEnd = true; // the newest message is to be seen, until somebody scrolls away from it

  /**
   * `submit(text)` gets what was written; the field is emptied when it returns true. `ids` are those of the list, of
   * the form below it, and of the field in that.
   */
  constructor(submit, ids = { list: "messages", form: "compose", field: "text" }) {
    this.#list = document.getElementById(ids.list);
    this.#field = document.getElementById(ids.field);
    this.#list.addEventListener("scroll", () => (this.#followsEnd = this.#isAtEnd()));
    // It has no size as long as it is hidden, and no place to be at.
    new ResizeObserver(() => this.#followsEnd && this.#goToEnd()).observe(this.#list);
    const form = document.getElementById(ids.form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#field.value.trim();
      if (text && submit(text)) this.#field.value = "";
      this.#fit();
    });
    this.#field.addEventListener("input", () => this.#fit());
    this.#field.addEventListener("keydown", (event) => {
      // Enter sends, Shift+Enter breaks the line; while a word is being composed, Enter only ends the word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
  }

  /**
   * Show a message, or what is now known of it; whether it is new. `card` is an element that stands in place of the
   * text, and `offset` its place once it has one.
   */
  put({ mid, text = "", card = null, author, mine, urgent = false, state = "sent", atMs = null, offset = Infinity }) {
    const known = this.#items.get(mid);
    const item = known ?? this.#create(mid, { text, card, author, mine, urgent });
    if (known === undefined || offset < Number(item.dataset.offset)) this.#place(item, offset);
    this.mark(mid, state);
    if (atMs !== null) item.querySelector("time").textContent = time.format(atMs);
    return known === undefined;
  }

  /** Say what has become of a message; whether it is shown here. */
  mark(mid, state) {
    const item = this.#items.get(mid);
    if (item === undefined) return false;
    item.dataset.state = state;
    item.querySelector(".state").textContent = STATES[state];
    return true;
  }

  /** Show a message no longer: it was not sent, or another one takes its place. */
  remove(mid) {
    this.#items.get(mid)?.remove();
    this.#items.delete(mid);
  }

  #create(mid, { text, card, author, mine, urgent }) {
    const item = document.createElement("li");
    item.className = mine ? "mine" : "theirs";
    item.innerHTML = `
      <span class="author"></span><p class="body"></p>
      <span class="meta"><span class="urgent" hidden>Urgent</span><time></time><span class="state"></span></span>`;
    item.querySelector(".author").textContent = author;
    item.querySelector(".body").textContent = text;
    if (card !== null) item.querySelector(".body").replaceWith(card);
    item.querySelector(".urgent").hidden = !urgent;
    this.#items.set(mid, item);
    return item;
  }

  /** The order of the log; what has no place in it yet stands at the end. */
  #place(item, offset) {
    const atEnd = this.#isAtEnd();
    item.dataset.offset = String(offset);
    const follows = (other) => other !== item && Number(other.dataset.offset) > offset;
    const next = [...this.#list.children].find(follows);
    this.#list.insertBefore(item, next ?? null);
    if (atEnd || item.classList.contains("mine")) this.#goToEnd();
  }

  #isAtEnd() {
    return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
  }

  #goToEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #fit() {
    const field = this.#field;
    field.style.height = "auto";
    const borders = field.offsetHeight - field.clientHeight;
    field.style.height = `${field.scrollHeight + borders}px`; // up to the `max-height` of the style
  }
}
