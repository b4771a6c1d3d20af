/** The page as it is seen: it shows what it is told, says which button was pressed, and knows no more. */

import { byId, setText } from "./dom.js";
import { LAYOUT } from "./layout.js";
import { closeDialogs } from "./panels.js";

const SECTIONS = ["lobby", "consent", "room", "farewell"];
const NEWS_MS = 12_000; // how long a line of news stays

export class View {
  #tiles = new Map();
  #newsTimer = null;

  /** `act(name, data)` is called with the `data-action` of the button pressed, and all that it carries. */
  constructor(root, act) {
    root.innerHTML = LAYOUT;
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-action]");
      if (button) act(button.dataset.action, button.dataset);
    });
    document.addEventListener("keydown", ({ key }) => {
      if (key === "Escape" && byId("chat").contains(document.activeElement)) act("chat");
    });
  }

  /** Show one of the sections, and take keyboard and screen reader there. */
  show(section) {
    if (!byId(section).hidden) return;
    for (const id of SECTIONS) byId(id).hidden = id !== section;
    document.body.dataset.section = section;
    byId(section).querySelector("h1").focus();
  }

  /** Say something to people who do not see the page. */
  announce(text) {
    byId("announcer").textContent = text;
  }

  /** A line that is shown for a while, and read aloud. */
  news(text) {
    clearTimeout(this.#newsTimer);
    byId("news").textContent = text;
    this.#newsTimer = setTimeout(() => (byId("news").textContent = ""), NEWS_MS);
  }

  connection({ tone, text }) {
    setText(byId("connection"), text);
    byId("connection").dataset.tone = tone;
  }

  clock(text, tone = "calm") {
    setText(byId("clock"), text);
    byId("clock").dataset.tone = tone;
  }

  /** Something went wrong: `{text, advice}`, with the label of a button that mends it if there is one. */
  notice(words, remedy = "") {
    setText(byId("notice-text"), words ? `${words.text} ${words.advice}` : "");
    byId("notice").hidden = !words;
    byId("remedy").textContent = remedy;
    byId("remedy").hidden = !remedy;
  }

  /**
   * What is known of the session before it is entered: words, whether one can come in (`ready`), whether one
   * waits to be let in, and whether one can say to be late.
   */
  lobby({ title, when, before, join = "", late, ready, waiting, sayLate }) {
    setText(byId("lobby-title"), title);
    setText(byId("when"), when);
    setText(byId("before"), before);
    setText(byId("late"), late);
    setText(byId("join"), join);
    byId("join").disabled = !ready;
    byId("join").hidden = waiting;
    byId("give-up").hidden = !waiting;
    byId("say-late").hidden = !sayLate;
  }

  /** What the reader takes part in: "all", "guest" for all but the messages, "observer" for looking on. */
  part(part) {
    document.body.dataset.part = part;
  }

  /** Whether the reader is asked for any consent. */
  consents(asked) {
    for (const button of document.querySelectorAll('[data-action="consents"]')) button.hidden = !asked;
  }

  /** What is said in the end; `again` is the label of the way back, if there is one. */
  farewell({ title, text, again = "" }) {
    setText(byId("farewell-title"), title);
    setText(byId("farewell-text"), text);
    byId("again").textContent = again;
    byId("again").hidden = !again;
    closeDialogs();
    this.show("farewell");
  }

  /** Which media the session has: a chat session shows no camera, an audio session no picture. */
  modality(modality) {
    document.body.dataset.modality = modality;
  }

  waiting(text) {
    for (const element of document.querySelectorAll(".waiting")) {
      setText(element, text);
      element.hidden = !text;
    }
  }

  /** One's own picture, or null, with what stands in its place. */
  self(track, veil) {
    const stream = track ? new MediaStream([track]) : null;
    for (const video of document.querySelectorAll("video.self")) {
      if (video.srcObject?.getTracks()[0] !== track) video.srcObject = stream;
    }
    for (const element of document.querySelectorAll('[data-veil="self"]')) {
      setVeil(element, track ? "" : veil);
    }
  }

  /** Whether microphone and camera are on. */
  toggles({ microphone, camera }) {
    const label = microphone ? "Mute" : "Unmute";
    setToggle("microphone", microphone, label, `${label} microphone`);
    const way = camera ? "off" : "on";
    setToggle("camera", camera, way, `Turn camera ${way}`);
  }

  level(value) {
    byId("level").style.transform = `scaleX(${value.toFixed(2)})`;
  }

  /** Someone's stream, or null when nothing comes from them any more. */
  person(account, name, stream) {
    if (stream === null) {
      this.#tiles.get(account)?.remove();
      this.#tiles.delete(account);
      return;
    }
    const tile = this.#tiles.get(account) ?? this.#addTile(account);
    tile.querySelector("video").srcObject = stream;
    setText(tile.querySelector(".name"), name);
  }

  /** What stands in the place of someone's picture, and whether their microphone is muted. */
  personState(account, { veil, muted }) {
    const tile = this.#tiles.get(account);
    if (!tile) return;
    setVeil(tile.querySelector(".veil"), veil);
    tile.querySelector(".muted").hidden = !muted;
  }

  /** Open or close the chat; whether it is open now. */
  toggleChat(open = !this.chatOpen) {
    document.body.dataset.chat = open ? "open" : "closed";
    const button = document.querySelector('[aria-controls="chat"]');
    button.ariaExpanded = String(open);
    if (open) byId("text").focus();
    else button.focus();
    return open;
  }

  get chatOpen() {
    return document.body.dataset.chat === "open";
  }

  unread(count) {
    byId("unread").hidden = count === 0;
    byId("unread").textContent = String(count);
    byId("unread").ariaLabel = `${count} unread`;
  }

  #addTile(account) {
    const tile = document.createElement("figure");
    tile.className = "person";
    tile.innerHTML = `
      <video autoplay playsinline></video>
      <div class="veil" hidden></div>
      <figcaption><span class="name"></span><span class="muted" hidden> · muted</span></figcaption>`;
    byId("people").append(tile);
    this.#tiles.set(account, tile);
    return tile;
  }
}

function setVeil(element, text) {
  setText(element, text);
  element.hidden = !text;
}

function setToggle(action, on, label, name) {
  for (const button of document.querySelectorAll(`[data-action="${action}"]`)) {
    button.dataset.on = String(on);
    setText(button.querySelector(".label"), label);
    button.ariaLabel = name;
  }
}
