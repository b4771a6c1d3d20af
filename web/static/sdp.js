/** The little that is read from the server's answers: who publishes which track, and which worker spoke. */

/** Of an SDP answer: a Map of each section's mid to the account whose track the server sends in it. */
export function publishers(sdp) {
  const tracks = new Map();
  for (const section of sdp.split(/^m=/m).slice(1)) {
    const mid = /^a=mid:(\S+)/m.exec(section)?.[1];
    const stream = /^a=msid:(\S+)/m.exec(section)?.[1];
    const sends = /^a=(sendrecv|sendonly)\s*$/m.test(section);
    if (mid !== undefined && stream !== undefined && stream !== "-" && sends) tracks.set(mid, stream);
  }
  return tracks;
}

/** Of an SDP answer: the fingerprint of its DTLS certificate, which each media worker makes for itself. */
export function fingerprint(sdp) {
  return /^a=fingerprint:(.+?)\s*$/m.exec(sdp)?.[1] ?? null;
}
