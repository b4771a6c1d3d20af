/** The device's values as frames, and the other way round. Keys travel in MessagePack, which has bytes. */

import { uuidFromBytes, uuidToBytes } from "../uuid.js";
import { EpochKeys } from "./epoch.js";
import { DeviceList, SignedList } from "./identity.js";
import { Prekey, SignedPrekey } from "./prekeys.js";
import { unpack } from "./structures.js";

/** `[op, fields]` of a request that the device has named. */
export function frameOf(request) {
  const { room } = request;
  switch (request.ask) {
    case "listing": return ["device.request", { key: request.key }];
    case "list": return ["keys.list.put", { list: SignedList.write(request.list) }];
    case "lists": return ["keys.list.get", { room }];
    case "claim": return ["keys.claim", { room, claim: request.claim, devices: request.devices }];
    case "prekeys": {
      const lastResort = request.lastResort ? SignedPrekey.write(request.lastResort) : undefined;
      const oneTime = request.oneTime.map(SignedPrekey.write);
      return ["keys.prekeys.put", { one_time: oneTime, last_resort: lastResort }];
    }
    case "keys": {
      const [header, signature, slots] = EpochKeys.write(request.keys);
      return ["keys.send", { room, mid: uuidFromBytes(request.mid), header, signature, slots }];
    }
    case "message": {
      const { data, urgent } = request;
      const [mid, session] = [uuidFromBytes(request.mid), request.session ?? undefined];
      return ["message.send", { room, mid, data, session, urgent, lists: Object.fromEntries(request.lists) }];
    }
    case "recall": return ["room.history", { room, after: request.after }];
    default: throw new RangeError(`nothing is asked by ${request.ask}`);
  }
}

/** `welcome.keys`, or the answer to `keys.inventory`, as the device takes it. */
export function inventoryOf({ generation, digest, ...told }) {
  const { count = 0, lowest = null, highest = 0, last_resort: lastResort = null, list = 0, first = 1 } = told;
  return { generation, digest, count, lowest, highest, lastResort, list, first };
}

/** The lists of a room in an answer to `keys.list.get` or in a `mismatch`. */
export function listsOf({ members = [], lists = [], barred = [] }) {
  const read = lists.map((signed) => SignedList.read(signed));
  return { members, lists: read.map((signed) => [unpack(DeviceList, signed.body).account, signed]), barred };
}

/** The prekeys in an answer to `keys.claim`. */
export function prekeysOf({ prekeys = [] }) {
  return prekeys.map(({ account, device, prekey }) => [account, device, SignedPrekey.read(prekey)]);
}

/** The ids of all prekeys in a request. */
export function idsOf({ oneTime, lastResort }) {
  return [...oneTime, ...(lastResort ? [lastResort] : [])].map(({ body }) => unpack(Prekey, body).id);
}

/** The number of a SignedList. */
export function numberOf({ body }) {
  return unpack(DeviceList, body).number;
}

/** The answer to `room.history` as the device takes it. */
export function pageOf({ epoch, lowest, events }) {
  return { log: epoch, lowest, events: events.map(eventOf) };
}

/** An `event` as the device takes it. */
export function eventOf({ room, epoch, offset, sender, device, body }) {
  const event = { room, place: { log: epoch, offset }, account: sender ?? "", device: device ?? "" };
  if (body.kind === "keys") event.keys = EpochKeys.read([body.header, body.signature, body.slots]);
  if (body.kind === "message") {
    event.message = { mid: uuidToBytes(body.mid), data: body.data, session: body.session ?? null };
  }
  return event;
}
