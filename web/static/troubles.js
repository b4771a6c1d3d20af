/**
 * Whatever goes wrong, in words for the people it happens to: what it is, and what to do.
 *
 * What goes right is in `words.js`.
 */

/** The close code of a connection in whose place the same device has made another. */
export const REPLACED = 4509;

const LINK = "Ask for a new link, or open the one you were sent once more.";
const SUPPORT = "Please tell the people who gave you this link.";

/** By the stable name of the error: what went wrong, and what to do. */
export const ERRORS = {
  token_missing: ["This link is not complete.", LINK],
  token_malformed: ["This link is not complete.", LINK],
  token_signature: ["This link is not valid here.", LINK],
  token_unknown_key: ["This link is not valid here.", LINK],
  token_expired: ["This link has run out.", "Ask for a new link."],
  token_not_yet_valid: ["This link is not valid yet.", "Try again closer to the time of your session."],
  token_scope: ["This link is for another session.", LINK],
  revoked: ["Access from this device was withdrawn.", SUPPORT],
  forbidden: ["This is not yours to do here.", SUPPORT],
  no_such_session: ["There is no such session for you.", LINK],
  no_such_room: ["There is no such session for you.", LINK],
  session_not_open: ["It is too early to come in.", "The door opens shortly before your session begins."],
  session_over: ["This session is already over.", "If you need to talk, please arrange a new one."],
  session_times: ["The session cannot be made that long.", "End it at its time, and arrange another one."],
  not_waiting: ["Someone else was faster.", "The list shows how it is now."],
  consent_required: ["Your agreement is needed before you come in.", "Please read it and choose."],
  not_observable: ["Not everyone has agreed to being observed.", "Try again later."],
  no_such_proposal: ["This was taken back or changed meanwhile.", "Look at how it is now."],
  too_many_changes: ["Too much has changed in this session already.", "Please go on as it is now."],
  already_rated: ["Your answer was sent before.", "The first one counts."],
  not_a_participant: ["Only those who were in the session are asked.", "You need not do anything."],
  session_full: ["Everyone who may be in this session is already here.", SUPPORT],
  media_unavailable: ["Sound and picture are not available at this moment.", "We keep trying."],
  too_large: ["This message is too long.", "Please send it in two parts."],
  rate_limited: ["That was too much at once.", "Wait a moment, then go on."],
  encryption_required: ["Messages are encrypted here, and this browser cannot do that.", "Use a newer browser."],
  too_many_devices: ["Too many browsers of yours have asked to read your messages.", SUPPORT],
  device_unlisted: ["This browser cannot read or send messages yet.", "Let it in from the one you used before."],
  store_full: ["The server cannot keep messages at this moment.", "We keep your message and try again."],
};

/** The same for what this browser's own device of encryption refuses. */
const REFUSALS = {
  outbox_full: ["Too many messages wait to be sent.", "Wait until the connection is back."],
  bad_content: ["This message is too long.", "Please send it in two parts."],
};

/** What went wrong and what to do, as `{text, advice}`, from an error of the connection or of the device. */
export function errorWords(error) {
  const [text, advice] = ERRORS[error?.kind] ?? REFUSALS[error?.kind] ?? [];
  if (text) return { text, advice };
  if (error?.kind === undefined) return { text: "The server did not answer.", advice: "Please try again." };
  return { text: "Something went wrong.", advice: `${SUPPORT} It is called “${error.kind}”.` };
}

/** Why the connection was closed for good, from its close code and the error that came before it. */
export function closedWords({ code, error }) {
  if (code === REPLACED) {
    const text = "Go on there, or continue here.";
    return { title: "This session is open in another window", text, again: "Continue here" };
  }
  if (error === null) {
    return { title: "The server closed the connection", text: `${SUPPORT} The code is ${code}.` };
  }
  return turnedAwayWords(error);
}

/** The server does not let the reader in: a page of its own instead of a notice. */
export function turnedAwayWords(error) {
  const { text, advice } = errorWords(error);
  return { title: text.replace(/\.$/, ""), text: advice };
}

/** The link runs out before the session does, at an instant that is given as words. */
export function linkEndsWords(time) {
  return { text: `This link runs out at ${time}.`, advice: "Ask for a new link, and open it in this window." };
}

/** The page was opened without what a link carries. */
export function noLinkWords() {
  return { title: "This link is not complete", text: LINK };
}

/** Why camera or microphone cannot be used, from the name of the browser's error. */
export function deviceWords(name, kind) {
  const what = { audio: "microphone", video: "camera" }[kind] ?? "camera and microphone";
  const words = {
    NotAllowedError: [
      `Your browser does not allow the ${what}.`,
      "Choose the camera or lock symbol next to the address, allow it, and try again.",
    ],
    NotFoundError: [`No ${what} was found.`, "Plug one in and try again, or join without it."],
    NotReadableError: [`The ${what} is in use.`, "Close other programs that use it, and try again."],
    SecurityError: [
      `The ${what} cannot be used on this page.`,
      "The address has to begin with https. Please tell the people who gave you this link.",
    ],
  };
  const [text, advice] = words[name] ?? [`The ${what} did not start.`, "Try again, or join without it."];
  return { text, advice };
}
