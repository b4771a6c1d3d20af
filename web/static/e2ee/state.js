/**
 * What a device has to remember: one value, saved before anything is sent or acknowledged.
 *
 * It is made of what IndexedDB stores as it is: objects, Maps, bytes, and CryptoKeys that no script can read.
 */

import { equal, toHex } from "./bytes.js";

export const FORMER_KEPT = 8; // of so many earlier keys of an account it is known that they were its
export const FINISHED_KEPT = 64; // of so many earlier epochs of a device it is known that they are over
export const SENT_KEPT = 256; // of so many messages sent it is known where the server has them
export const MIDS_KEPT = SENT_KEPT; // of so many of a device it is known that they were shown: all it may send again
export const OWN_LISTS_KEPT = 8; // to bring a server up to date that was restored

/** The state of a device that has a key (a pair of `signing`) and nothing else. */
export function newState(account, device, key) {
  return {
    version: 1,
    account,
    device,
    key,
    accountKey: null, // a pair of `signing`, on devices that may let others in
    archive: null, // a KEM's pair, on devices that may read what is older than they are
    listedFrom: 0, // the number of the first list known with this device in it; 0: none yet
    requested: false, // the server knows that this device asks to be listed
    ownLists: [], // the account's own SignedLists, by rising number
    proposed: null, // the next one, until the server has answered: never another one in its place
    wanted: [], // {device, key, atMs} of what is not in the latest one yet; see `account.js`
    serverList: -1, // the number of the own list that the server holds; -1: not known yet
    known: new Map(), // account -> the latest SignedList; its key is the one pinned
    suspects: new Map(), // account -> SignedList under another key, until a person has decided
    former: new Map(), // account -> the keys that it had before: for what was said under them then
    stock: { generation: 0, nextId: 1, oneTime: new Map(), lastResort: new Map() },
    rooms: new Map(),
  };
}

/** One room, both directions. */
export function newRoom() {
  return {
    cursor: { log: 0, offset: 0 }, // the last event taken in
    replaying: false, // the log began anew and is not read to its end yet: nothing is sent before
    floor: new Map(), // account -> the highest number of a list under which someone has spoken
    speakers: new Map(), // address -> what is known of one sending device
    lists: null, // account -> {number, digest} of every member's current list; null: to be asked for
    barred: [], // addresses
    organisation: null, // the public key of the organisation's archive, as the app has it from the platform
    left: false, // the account is not a member for now
    halted: "", // why nothing can be sent for now: the kind of an error in what the server has shown
    drafts: [], // {mid, content, session, urgent}, not stored yet
    claim: null, // the id of the claim that is under way
    claimed: new Map(), // address -> {id, public} of a prekey to seal the next epoch to
    opening: null, // {mid, data, epoch}: the keys of an epoch on their way, and the epoch once they are there
    flying: null, // {mid, data, epoch}: the message on its way, and the epoch once it is there
    epoch: null, // {epoch, chain, lists, log, createdMs} in which this device speaks
    previous: null, // {epoch, last} of the own epoch that stands last in the log
    echoes: new Map(), // epoch -> {chain, exporter} of own epochs that were not yet read back
    sent: [], // {mid, place} of messages stored
    past: null, // the second reading of the log, for what could not be opened when it came
    recalling: false, // this is a second reading
    opens: [], // what it opens: epochs of these accounts, or, for ARCHIVE, those of the archive
    waiting: [], // what the second reading after this one is to open
  };
}

/** The name under which a room is saved; beside the rooms there are `self` and `stock`. */
export function roomPart(name) {
  return `room ${name}`;
}

/** A device of an account as the key of a Map. */
export function address(account, device) {
  return JSON.stringify([account, device]);
}

/** `[account, device]` of an address. */
export function parts(key) {
  return JSON.parse(key);
}

/** Bytes as the key of a Map. */
export const hex = toHex;

/** Whether one of these bytes is the same. */
export function includes(all, bytes) {
  return all.some((one) => equal(one, bytes));
}
