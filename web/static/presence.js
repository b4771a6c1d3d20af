/**
 * Whether someone's camera and microphone are on, as the pages tell each other: in `opaque` signals, which
 * the server passes on unread. A picture that was switched off then does not look like a fault.
 */

/** The data of a signal that tells our own state. */
export function encodeMediaState({ microphone, camera }) {
  return new TextEncoder().encode(JSON.stringify({ media: { microphone, camera } }));
}

/** `{microphone, camera}` of a signal's data, or null when it says something else. */
export function decodeMediaState(data) {
  try {
    const { media } = JSON.parse(new TextDecoder().decode(data));
    return { microphone: media.microphone === true, camera: media.camera === true };
  } catch (error) {
    // Another app's signal: SyntaxError if it is not JSON, TypeError if it has no `media`.
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
