/**
 * Where a browser keeps a device's keys and what it has read: an IndexedDB database, which holds CryptoKeys
 * that no script can read.
 *
 * A step of the device and its outcomes are one transaction, on the disk before it counts. Opened messages
 * stay here until the app forgets them: the keys that opened them are gone.
 */

import { roomPart } from "./state.js";

const VERSION = 1;
const DURABLE = { durability: "strict" }; // complete when it is on the disk
const HOLDER = "holder";

export class Keystore {
  #database;
  #holder = null; // whoever took the device over last may save; null: nobody was asked to
  #lost = () => {};

  constructor(database) {
    this.#database = database;
  }

  /** The database of one device; `name` tells devices of different accounts in one browser apart. */
  static async open(name) {
    const opening = indexedDB.open(`rapport.e2ee ${name}`, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("parts");
      opening.result.createObjectStore("outcomes", { autoIncrement: true }).createIndex("room", "room");
    };
    const database = await settled(opening);
    database.onversionchange = () => database.close(); // a newer app in another tab needs it
    return new Keystore(database);
  }

  /**
   * From now on only this object saves the device, until it is taken over from here: then `lost()` is called
   * when a step was about to be saved, and that step never ends, so that nothing follows from it. A key that is
   * good for one message can so never be used twice, however late a page learns that another has its place.
   */
  async takeOver(lost) {
    const transaction = this.#database.transaction("parts", "readwrite", DURABLE);
    this.#holder = crypto.randomUUID();
    this.#lost = lost;
    transaction.objectStore("parts").put(this.#holder, HOLDER);
    await completed(transaction);
  }

  /** The state as it was saved last, or null. */
  async load() {
    const parts = this.#database.transaction("parts").objectStore("parts");
    const [names, values] = await Promise.all([settled(parts.getAllKeys()), settled(parts.getAll())]);
    const saved = new Map(names.map((name, i) => [name, values[i]]));
    if (!saved.has("self")) return null;
    const rooms = [...saved].filter(([, value]) => value.isRoom).map(([, { name, room }]) => [name, room]);
    return { ...saved.get("self"), stock: saved.get("stock"), rooms: new Map(rooms) };
  }

  /** Save the `changed` parts of a state, or everything for null, and add outcomes, in one transaction. */
  async save(state, outcomes, changed) {
    const transaction = this.#database.transaction(["parts", "outcomes"], "readwrite", DURABLE);
    const parts = transaction.objectStore("parts");
    if (this.#holder !== null && (await settled(parts.get(HOLDER))) !== this.#holder) {
      this.#lost();
      return new Promise(() => {});
    }
    const { stock, rooms, ...self } = state;
    const isChanged = (part) => changed === null || changed.includes(part);
    if (isChanged("self")) parts.put(self, "self");
    if (isChanged("stock")) parts.put(stock, "stock");
    for (const [name, room] of rooms) {
      if (isChanged(roomPart(name))) parts.put({ isRoom: true, name, room }, roomPart(name));
    }
    const gone = (changed ?? []).filter((part) => part.startsWith(roomPart("")));
    for (const part of gone) if (!rooms.has(part.slice(roomPart("").length))) parts.delete(part);
    const keptMs = Date.now();
    for (const outcome of outcomes) transaction.objectStore("outcomes").add({ ...outcome, keptMs });
    await completed(transaction);
  }

  /** The outcomes of a room, oldest first, each with the `id` by which it can be forgotten. */
  async outcomes(room) {
    const index = this.#database.transaction("outcomes").objectStore("outcomes").index("room");
    const range = IDBKeyRange.only(room);
    const [ids, found] = await Promise.all([settled(index.getAllKeys(range)), settled(index.getAll(range))]);
    return found.map((outcome, i) => ({ id: ids[i], ...outcome }));
  }

  /** Forget outcomes: what a message said is then nowhere on this device. */
  async forget(ids) {
    const transaction = this.#database.transaction("outcomes", "readwrite", DURABLE);
    for (const id of ids) transaction.objectStore("outcomes").delete(id);
    await completed(transaction);
  }

  /**
   * Forget the outcomes that were kept before then, in milliseconds since 1970, of all rooms but those of which
   * `stays(room)` is true.
   */
  async forgetBefore(timeMs, stays = () => false) {
    const transaction = this.#database.transaction("outcomes", "readwrite", DURABLE);
    const kept = transaction.objectStore("outcomes");
    const [ids, found] = await Promise.all([settled(kept.getAllKeys()), settled(kept.getAll())]);
    const isOver = ({ keptMs, room }) => keptMs < timeMs && !stays(room);
    ids.filter((_, i) => isOver(found[i])).forEach((id) => kept.delete(id));
    await completed(transaction);
  }

  /** Close the database; it can be opened again. */
  close() {
    this.#database.close();
  }
}

/** Delete everything that a device has kept. */
export async function erase(name) {
  await settled(indexedDB.deleteDatabase(`rapport.e2ee ${name}`));
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
