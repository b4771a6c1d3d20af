/**
 * Files among the messages: chosen, encrypted, uploaded and named in a message; fetched, proven and given to the
 * person. One is sent at a time, in the order in which they were chosen.
 */

import { FileCard } from "./cards.js";
import { byId } from "./dom.js";
import { toHex } from "./e2ee/bytes.js";
import { encryptedSize } from "./e2ee/attachments.js";
import { openFile, sealFile } from "./e2ee/files.js";
import { isPicture, pictureType } from "./harmless.js";
import { FILE_WORDS, fileTroubleWords } from "./papers.js";
import { uuid7 } from "./uuid.js";

/** Larger pictures are saved and looked at elsewhere. */
const SHOWN_BYTES = 32 * 1024 * 1024;

/** No browser is asked to encrypt what no server will take: it would take minutes to be told. */
const LARGEST_BYTES = 4 * 1024 ** 3;

const CANCEL = ["file-cancel", "Cancel"];
const AGAIN = ["file-again", "Try again"];
const SAVE = ["file-save", "Save"];

export class Files {
  #page;
  #all = new Map(); // mid -> {card, content, file, sealed, control}
  #before = Promise.resolve(); // the last one that is to be sent

  /** By `data-action`: what the buttons do. */
  actions = {
    attach: () => byId("file").click(),
    "file-cancel": ({ mid }) => this.#cancel(mid),
    "file-again": ({ mid }) => this.#enqueue(mid),
    "file-remove": ({ mid }) => this.#remove(mid),
    "file-save": ({ mid }) => this.#fetch(mid, (card, file) => this.#save(card, file)),
    "file-show": ({ mid }) => this.#fetch(mid, (card, file, content) => this.#show(card, file, content)),
  };

  /**
   * `page` has `conversation`, `room()`, `blobs()`, `send(content, {mid})`, which gives a promise that the message
   * is kept, and `run(promise)`.
   */
  constructor(page) {
    this.#page = page;
    byId("file").addEventListener("change", ({ target }) => {
      for (const file of target.files) this.#begin(file);
      target.value = ""; // so that the same one can be chosen again
    });
  }

  /** The card of a file that stands in the log. */
  cardOf(mid, content) {
    const known = this.#all.get(mid);
    const card = known?.card ?? new FileCard(mid, content);
    this.#all.set(mid, { card, content, control: null });
    this.#offer(card, content);
    return card.element;
  }

  /** The session is over: whatever is on its way is given up. */
  stop() {
    for (const mid of [...this.#all.keys()]) this.#cancel(mid);
  }

  /** What was to be sent is gone at once, also while it waits for the one before it. */
  #cancel(mid) {
    const { control, file } = this.#all.get(mid);
    control?.abort(new DOMException("given up", "AbortError"));
    if (file !== undefined) this.#remove(mid);
  }

  // --- To others -----------------------------------------------------------------------------------------

  #begin(file) {
    const mid = uuid7();
    const card = new FileCard(mid, file);
    this.#all.set(mid, { card, file, sealed: null, content: null, control: null });
    this.#page.conversation.begin(mid, card.element);
    this.#enqueue(mid);
  }

  #enqueue(mid) {
    const sending = this.#all.get(mid);
    sending.control = new AbortController();
    sending.card.put(FILE_WORDS.queued, { done: 0, buttons: [CANCEL] });
    this.#before = this.#before.then(() => this.#send(mid, sending));
    this.#page.run(this.#before);
  }

  async #send(mid, sending) {
    const { card, file } = sending;
    const { signal } = sending.control;
    const follow = (text, size) => (bytes) =>
      card.put(text, { done: size === 0 ? 1 : bytes / size, buttons: [CANCEL] });
    try {
      signal.throwIfAborted();
      if (file.size > LARGEST_BYTES) throw Object.assign(new Error(), { kind: "blob_too_large" });
      sending.sealed ??= await sealFile(file, { signal, progress: follow(FILE_WORDS.sealing, file.size) });
      const { content, ciphertext } = sending.sealed;
      const progress = follow(FILE_WORDS.uploading, ciphertext.size);
      progress(0);
      const name = toHex(content.blob);
      await this.#page.blobs().upload(this.#page.room(), ciphertext, name, { signal, progress });
      this.#all.set(mid, { card, content, control: null });
      this.#offer(card, content);
      this.#page.conversation.mark(mid, "pending");
      await this.#page.send(content, { mid });
    } catch (error) {
      if (signal.aborted) this.#remove(mid);
      else card.put(fileTroubleWords(error), { buttons: [AGAIN, ["file-remove", "Remove"]] });
    }
  }

  #remove(mid) {
    this.#all.delete(mid);
    this.#page.conversation.remove(mid);
  }

  // --- From others ---------------------------------------------------------------------------------------

  #offer(card, { media_type: type, size }, text = "") {
    const canBeShown = isPicture(type) && size <= SHOWN_BYTES;
    card.put(text, { buttons: canBeShown ? [["file-show", "Show"], SAVE] : [SAVE] });
  }

  /** Fetch a file; once all of it is proven, and not before, it is given to `use`. */
  async #fetch(mid, use) {
    const entry = this.#all.get(mid);
    const { card, content } = entry;
    const size = encryptedSize(content.size);
    const control = (entry.control = new AbortController()); // one at a time: meanwhile there is no other button
    const progress = (bytes) => card.put(FILE_WORDS.fetching, { done: bytes / size, buttons: [CANCEL] });
    progress(0);
    try {
      const pieces = this.#page.blobs().download(toHex(content.blob), { progress, signal: control.signal });
      await use(card, await openFile(content, pieces), content);
    } catch (error) {
      this.#offer(card, content, control.signal.aborted ? "" : fileTroubleWords(error));
    }
  }

  #save(card, file) {
    card.save(file);
    card.put(FILE_WORDS.saved, { buttons: [SAVE] });
  }

  async #show(card, file) {
    const type = await pictureType(file);
    const isShown = type !== null && (await card.show(new Blob([file], { type })).then(() => true, () => false));
    card.put(isShown ? "" : FILE_WORDS.notPicture, { buttons: [SAVE] });
  }
}
