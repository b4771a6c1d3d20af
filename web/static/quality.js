/**
 * Whether the link is too weak for the picture, judged from a peer connection's statistics.
 *
 * Pure: the caller brings the reports, at even intervals, and decides what to do about it.
 */

/** Part of the packets that may be missing. Above it speech breaks up, and the picture takes its place. */
const LOSS = 0.08;

/** Bits per second that the sender may at least use; below it there is no picture worth the name. */
const BITRATE = 120_000;

/** So many weak reports in a row are no passing trouble. */
const PATIENCE = 3;

export class LinkJudge {
  #before = null; // packets received and lost until the last report
  #weak = 0;

  /** Take a report of `RTCPeerConnection.getStats`, null for none; whether the link has become too weak. */
  judge(report) {
    const now = report && totals(report);
    const weak = now !== null && this.#before !== null && isWeak(this.#before, now);
    this.#before = now;
    this.#weak = weak ? this.#weak + 1 : 0;
    return this.#weak === PATIENCE;
  }

  /** Another link, or another kind of use: what was seen before does not count. */
  reset() {
    this.#before = null;
    this.#weak = 0;
  }
}

function totals(report) {
  const sum = { received: 0, lost: 0, lostThere: 0, bitrate: Infinity };
  for (const entry of report.values()) {
    if (entry.type === "inbound-rtp") {
      sum.received += entry.packetsReceived ?? 0;
      sum.lost += entry.packetsLost ?? 0;
    } else if (entry.type === "remote-inbound-rtp") {
      sum.lostThere = Math.max(sum.lostThere, entry.fractionLost ?? 0);
    } else if (entry.type === "candidate-pair" && entry.nominated) {
      sum.bitrate = entry.availableOutgoingBitrate ?? Infinity;
    }
  }
  return sum;
}

function isWeak(before, now) {
  const lost = Math.max(0, now.lost - before.lost);
  const all = lost + Math.max(0, now.received - before.received);
  return now.bitrate < BITRATE || now.lostThere > LOSS || (all > 0 && lost / all > LOSS);
}
