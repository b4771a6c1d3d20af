/** A keystore for places without IndexedDB: copies of what was saved, with the keys themselves in common. */

export class MemoryKeystore {
  #parts = new Map();
  #outcomes = [];

  async load() {
    return this.#parts.has("state") ? copy(this.#parts.get("state")) : null;
  }

  async save(state, outcomes) {
    this.#parts.set("state", copy(state));
    this.#outcomes.push(...outcomes);
  }

  async outcomes(room) {
    return this.#outcomes.filter((outcome) => outcome.room === room);
  }
}

function copy(value) {
  if (Array.isArray(value)) return value.map(copy);
  if (value instanceof Map) return new Map([...value].map(([key, inner]) => [key, copy(inner)]));
  if (value instanceof Uint8Array) return value.slice();
  if (value === null || typeof value !== "object") return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value; // a key
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner)]));
}
