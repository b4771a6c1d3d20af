/**
 * How far each room's log has been received: events are taken in order, once, without gaps.
 *
 * Positions are `{epoch, offset}`. Pure bookkeeping; `Connection` sends and stores.
 */
export class Positions {
  #rooms;

  constructor(rooms = new Map()) {
    this.#rooms = rooms;
  }

  /** The `rooms` of `hello`. */
  toHello() {
    return Object.fromEntries(this.#rooms);
  }

  get(room) {
    return this.#rooms.get(room);
  }

  /** Take over the server's cursors of `welcome` for the rooms nothing is known about here. */
  begin(heads) {
    for (const { room, epoch, cursor } of heads) {
      if (!this.#rooms.has(room)) this.#rooms.set(room, { epoch, offset: cursor });
    }
  }

  /** What an event is here: the `"next"` of its room, a `"duplicate"`, or the far side of a `"gap"`. */
  place({ room, epoch, offset }) {
    const have = this.#rooms.get(room);
    // A room that was joined while connected begins wherever the server begins.
    if (have === undefined) return "next";
    if (epoch !== have.epoch) return "gap";
    if (offset <= have.offset) return "duplicate";
    return offset === have.offset + 1 ? "next" : "gap";
  }

  /** The event at this position has been taken in. */
  advance({ room, epoch, offset }) {
    this.#rooms.set(room, { epoch, offset });
  }

  /** A `reset`: delivery goes on with `lowest`, in this epoch. */
  reset({ room, epoch, lowest }) {
    this.#rooms.set(room, { epoch, offset: Math.max(0, lowest - 1) });
  }

  forget(room) {
    this.#rooms.delete(room);
  }

  /** The rooms of a ping's `heads` in which more is there than has arrived here. */
  behind(heads) {
    return Object.keys(heads).filter((room) => heads[room] > (this.#rooms.get(room)?.offset ?? 0));
  }
}
