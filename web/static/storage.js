/**
 * What a device keeps so that nothing is lost or shown twice: how far it has each room's log, and the
 * messages that no server has confirmed yet.
 *
 * `Connection` takes any object with these methods. This one keeps everything in memory, for as long as the
 * page lives; one over IndexedDB survives a reload, and its promises settle once the data is on the device.
 */
export class MemoryStorage {
  #positions = new Map();
  #outgoing = new Map();

  /** Everything kept: `positions`, a Map of room to `{epoch, offset}`, and `outgoing`, the oldest first. */
  async load() {
    return { positions: new Map(this.#positions), outgoing: [...this.#outgoing.values()] };
  }

  /** Remember that everything up to this position of a room's log is here. */
  async savePosition(room, position) {
    this.#positions.set(room, position);
  }

  /** Forget a room that is no longer ours. */
  async forgetRoom(room) {
    this.#positions.delete(room);
  }

  /** Keep `{mid, room, data, session}` until it is dropped. */
  async keep(message) {
    this.#outgoing.set(message.mid, message);
  }

  /** The message is durable elsewhere, or will never be. */
  async drop(mid) {
    this.#outgoing.delete(mid);
  }
}
