/**
 * A device's own prekeys: making them, finding drift, and forgetting what has been used.
 *
 * The private half of a one-time prekey is forgotten once a slot was opened with it; one that the server has
 * handed out and nothing came of is kept for 30 days, as are earlier last-resort ones.
 */

import { equal } from "./bytes.js";
import { inventoryDigest, makePrekey } from "./prekeys.js";

/** How many one-time prekeys a device leaves with the server; it fills up at half of that. */
export const TARGET = 100;

const DAY_MS = 24 * 3600 * 1000;
const ROTATE_MS = 7 * DAY_MS; // how old the last-resort prekey gets
const KEEP_MS = 30 * DAY_MS; // how long a private half is kept once its public one is not handed out any more

/** Take in the server's inventory; whether it holds what this device has left there. */
export async function compare(stock, inventory, nowMs) {
  // Restored from a backup, it may have handed out since what it held then.
  stock.generation = Math.max(stock.generation, inventory.generation);
  const taken = sorted(stock.oneTime).filter((id) => isTaken(stock.oneTime.get(id), id, inventory));
  const held = taken.filter((id) => inventory.lowest !== null && id >= inventory.lowest);
  const publics = held.map((id) => ({ id, public: stock.oneTime.get(id).pair.publicKey }));
  const good = held.length === inventory.count && equal(await inventoryDigest(publics), inventory.digest);
  settle(stock, new Set(taken), new Set(held), nowMs);
  for (const [id, prekey] of stock.lastResort) prekey.confirmed = id === inventory.lastResort;
  forget(stock, nowMs);
  return good;
}

/**
 * Make what is missing of one-time prekeys and, when it is due, a new last-resort one. The server holds
 * `count` of the former. Its number counts, and not ours: it never gets more than `target`.
 */
export async function refill(stock, kem, { count, target, nowMs }) {
  const isOnTheWay = ({ confirmed, goneMs }) => !confirmed && goneMs === null;
  const live = count + [...stock.oneTime.values()].filter(isOnTheWay).length;
  if (live <= Math.floor(target / 2)) await add(stock, stock.oneTime, target - live, kem, nowMs);
  const newest = stock.lastResort.get(sorted(stock.lastResort).at(-1));
  const isYoung = newest !== undefined && nowMs - newest.madeMs < ROTATE_MS;
  if (isYoung && newest.generation === stock.generation) return;
  for (const prekey of stock.lastResort.values()) prekey.goneMs ??= nowMs;
  await add(stock, stock.lastResort, 1, kem, nowMs);
}

/** What the server is to be given: `{oneTime, lastResort}` of SignedPrekeys, or null for nothing. */
export async function unconfirmed(state) {
  const { oneTime, lastResort } = state.stock;
  const due = sorted(oneTime).filter((id) => !oneTime.get(id).confirmed && oneTime.get(id).goneMs === null);
  const newest = sorted(lastResort).filter((id) => !lastResort.get(id).confirmed).at(-1);
  const isNewest = newest !== undefined && newest === sorted(lastResort).at(-1);
  if (due.length === 0 && !isNewest) return null;
  return {
    oneTime: await Promise.all(due.map((id) => signed(state, id, oneTime.get(id), false))),
    lastResort: isNewest ? await signed(state, newest, lastResort.get(newest), true) : null,
  };
}

/** The server has taken these prekeys. */
export function confirm(stock, ids) {
  for (const id of ids) {
    const prekey = stock.oneTime.get(id) ?? stock.lastResort.get(id);
    if (prekey !== undefined) prekey.confirmed = true;
  }
}

/** The private half of a prekey, or null. */
export function find(stock, id) {
  return (stock.oneTime.get(id) ?? stock.lastResort.get(id))?.pair.privateKey ?? null;
}

/** A slot was opened with this prekey: forget it, unless it is a last-resort one. */
export function spend(stock, id) {
  stock.oneTime.delete(id);
}

/** Whether the server has, or had, this prekey in the generation it is in. */
function isTaken(prekey, id, inventory) {
  return prekey.generation === inventory.generation && id <= inventory.highest && prekey.goneMs === null;
}

function settle(stock, taken, held, nowMs) {
  for (const [id, prekey] of stock.oneTime) {
    if (held.has(id)) prekey.confirmed = true;
    else if (prekey.goneMs === null && (taken.has(id) || prekey.generation !== stock.generation)) {
      Object.assign(prekey, { confirmed: true, goneMs: nowMs });
    }
  }
}

function forget(stock, nowMs) {
  for (const kind of [stock.oneTime, stock.lastResort]) {
    for (const [id, { goneMs }] of kind) if (goneMs !== null && nowMs - goneMs >= KEEP_MS) kind.delete(id);
  }
}

async function add(stock, kind, count, kem, nowMs) {
  const pairs = await Promise.all(Array.from({ length: count }, () => kem.generate()));
  for (const pair of pairs) {
    const { generation } = stock;
    kind.set(stock.nextId++, { pair, generation, madeMs: nowMs, confirmed: false, goneMs: null });
  }
}

function signed({ account, device, key }, id, { generation, pair }, lastResort) {
  return makePrekey(key.privateKey, { account, device, generation, id, lastResort, public: pair.publicKey });
}

function sorted(kind) {
  return [...kind.keys()].sort((one, other) => one - other);
}
