/**
 * Reading a room's log once more, for what came before the archive was unlocked, or a new key was trusted.
 *
 * A second reading follows the first one with a state of its own. It opens what the archive's key opens, and what
 * accounts say whose new keys were refused at first; all else was read in its turn. While it goes on, the first
 * reading leaves these to it; where it has come up with the first one, it hands over and is forgotten. So every
 * message is opened by one of them, and by no more than one.
 */

import { equal } from "./bytes.js";
import { require } from "./errors.js";
import * as receiving from "./receiving.js";
import { MIDS_KEPT, address, newRoom, parts } from "./state.js";

/** The archive's key is there (ARCHIVE), or those of accounts are: what came without them is to be read again. */
export function begin(room, ...opens) {
  const { log, offset } = room.cursor;
  if (room.past !== null) room.waiting = [...room.waiting, ...opens];
  else if (offset > 0) room.past = { ...newRoom(), cursor: { log, offset: 0 }, recalling: true, opens };
}

/** What is to be asked for: the next page; or null. */
export function requestOf(name, { past, left, cursor }) {
  if (past === null || left || past.cursor.offset >= cursor.offset) return null;
  return { ask: "recall", room: name, after: past.cursor.offset };
}

/** The log goes on from `lowest`; the cursor of the first reading has moved there already. */
export function beginAnew({ past, cursor }, lowest) {
  if (past === null) return;
  if (past.cursor.log === cursor.log) skipTo(past, lowest - 1);
  else Object.assign(past, { floor: new Map(), cursor });
}

/**
 * The page after an offset, `{log, lowest, events}`; one that does not go on from the second reading's cursor is
 * passed over. Throws `out_of_order`, without any change, when it has a hole. Where the server gives nothing of
 * what the first reading had, the second one ends.
 */
export async function take(state, kem, room, after, { log, lowest, events }) {
  const { past, cursor } = room;
  if (past === null || log !== past.cursor.log || after !== past.cursor.offset) return [];
  const begins = Math.max(after, lowest - 1);
  const told = events.filter(({ place }) => begins < place.offset && place.offset <= cursor.offset);
  const follows = told.every(({ place }, i) => place.offset === begins + 1 + i);
  require(follows, "out_of_order", "the page has a hole");
  skipTo(past, begins);
  const outcomes = [];
  for (const event of told) outcomes.push(...(await takeAgain(state, kem, room, event)));
  if (told.length === 0) past.cursor = cursor;
  finish(room);
  return outcomes;
}

/** Hand over, once the second reading has come as far as the first one. */
export function finish(room) {
  const { past, cursor, replaying } = room;
  const isThere = past?.cursor.log === cursor.log && past.cursor.offset === cursor.offset;
  if (!isThere || replaying) return;
  for (const [who, { epoch, chain, exporter, error, loose }] of past.speakers) {
    const speaker = room.speakers.get(who);
    const isShut = speaker === undefined || speaker.chain === null;
    if (past.opens.includes(parts(who)[0]) && isShut) room.speakers.set(who, past.speakers.get(who));
    else if (speaker !== undefined && isShut && equal(speaker.epoch, epoch)) {
      Object.assign(speaker, { chain, exporter, error, loose });
    }
  }
  const { waiting } = room;
  Object.assign(room, { past: null, waiting: [] });
  if (waiting.length > 0) begin(room, ...waiting);
}

/** What stands before is purged, if it was not read yet. */
function skipTo(past, offset) {
  if (offset <= past.cursor.offset) return;
  past.cursor = { ...past.cursor, offset };
  for (const speaker of past.speakers.values()) speaker.loose = true;
}

/** What the first reading has not told. */
async function takeAgain(state, kem, { past, speakers }, event) {
  const outcomes = await receiving.take(state, kem, past, event);
  past.cursor = event.place;
  const who = address(event.account, event.device);
  const read = past.speakers.get(who);
  if (read === undefined || read.error === "before_this_device") return [];
  const speaker = speakers.get(who);
  for (const { what, mid } of outcomes) {
    if (what !== "opened" || speaker === undefined) continue;
    // It may be lost with a restore, and sent again: then it is known here.
    speaker.mids = [mid, ...speaker.mids].slice(-MIDS_KEPT);
  }
  return outcomes.filter(({ what, count }) => what === "opened" || what === "set_aside" || count > 0);
}
