/**
 * Performs operations for a test: a line `[side, path, args, holdAs]` in, a line with the outcome out.
 *
 * The side `ours` are the modules of `web/static/e2ee`, with X-Wing of a package, since this Node may have no
 * ML-KEM; `theirs` are packages alone.
 */

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";

import { answer, operations, revived } from "./operations.js";
import { peerKem } from "./peer_kem.js";
import { theirs } from "./theirs.js";

globalThis.crypto ??= webcrypto; // Node 18 has it under this name only

const ours = await operations(new URL("../../../web/static/e2ee", import.meta.url).href, peerKem);
const packages = (name, args) => theirs[name](...JSON.parse(args, (_, value) => revived(value)));
const sides = { ours, theirs: packages };

for await (const line of createInterface({ input: process.stdin })) {
  const [side, path, args, holdAs] = JSON.parse(line);
  console.log(await answer(sides[side], path, args, holdAs));
}
