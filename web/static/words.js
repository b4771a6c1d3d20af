/**
 * Everything that happens, in words for the people it happens to; whatever goes wrong comes with what to do.
 *
 * `reader` is the role of whose page it is: people are called what they are to each other, since the server
 * knows no names.
 */

import { roundTime } from "./clock.js";

const THERAPIST = "therapist";
const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

const capitalised = (text) => text[0].toUpperCase() + text.slice(1);

/** "14:50", as the reader writes it. */
export function timeOfDay(instant) {
  return hour.format(instant);
}

/** How the reader of `role`'s page would call a person of another role. */
export function personWords(reader, role) {
  if (role === THERAPIST) return reader === "client" ? "Your therapist" : "The therapist";
  if (role === "client") return reader === THERAPIST ? "Your client" : "The client";
  return "A guest";
}

/** Whom the reader is waiting for. */
export function otherWords(reader) {
  return reader === THERAPIST ? "your client" : "your therapist";
}

/** The lobby, as `{title, when, before}`; `session` is null until known, `someone` is who is there. */
export function lobbyWords(session, now, reader, someone) {
  if (session === null) return { title: "Welcome", when: "One moment, please…", before: "" };
  const early = session.opens_ms - now;
  let before = "You can come in now. Take a moment to check how you look and sound.";
  if (session.modality === "chat") before = "You can come in now.";
  if (someone !== null) before = `${someone} is already here.`;
  if (early > 0) before = `You can come in at ${timeOfDay(session.opens_ms)}, in ${roundTime(early)}.`;
  return {
    title: `Your session with ${otherWords(reader)}`,
    when: `${day.format(session.starts_ms)}, ${hour.formatRange(session.starts_ms, session.agreed_end_ms)}`,
    before,
  };
}

/** What stands where the other person will be seen. */
export function waitingWords(reader, someone) {
  const other = otherWords(reader);
  if (someone) return `Connecting you with ${other}…`;
  return `You are in the right place. ${capitalised(other)} is not here yet.`;
}

/** How much time is left, to be read aloud. */
export function cueWords(minutes) {
  return minutes === 1 ? "One minute left." : `${minutes} minutes left.`;
}

/** The state of the connection and the call, as one short line with a tone: "good", "busy" or "bad". */
export function connectionWords(connection, call) {
  if (connection === "closed") return { tone: "bad", text: "Disconnected" };
  if (connection === "waiting") return { tone: "bad", text: "Reconnecting…" };
  if (connection !== "ready") return { tone: "busy", text: "Connecting…" };
  if (call === "interrupted") return { tone: "bad", text: "Restoring sound and picture…" };
  if (call === "connecting") return { tone: "busy", text: "Connecting sound and picture…" };
  return { tone: "good", text: "Connected" };
}

/** Why a session is over, as `{title, text}`; `reason` as the server gives it, with the session's state. */
export function endWords({ state, reason }, reader) {
  const other = capitalised(otherWords(reader));
  const words = {
    completed: ["Your time together is up", "The session ended at its agreed time."],
    cap: ["Your time together is up", "The session ran over its agreed time and has now ended."],
    left: ["The session has ended", reader === THERAPIST ? "You ended the session." : `${other} ended it.`],
    operator: ["The session has ended", "It was ended by the people who run this service."],
    no_show: ["The session did not take place", "You were not both here during the time that was set aside."],
    cancelled: ["The session was cancelled", "It will not take place."],
  };
  const [title, text] = words[reason] ?? words[state] ?? ["The session has ended", ""];
  return { title, text: `${text} You can close this page now.`.trim() };
}

/** The reader has left a session that goes on. */
export function leftWords() {
  const text = "It goes on until its agreed end, and you can come back until then.";
  return { title: "You have left the session", text, again: "Come back" };
}

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
  session_full: ["Everyone who may be in this session is already here.", SUPPORT],
  media_unavailable: ["Sound and picture are not available at this moment.", "We keep trying."],
  too_large: ["This message is too long.", "Please send it in two parts."],
  rate_limited: ["That was too much at once.", "Wait a moment, then go on."],
  store_full: ["The server cannot keep messages at this moment.", "We keep your message and try again."],
};

/** What went wrong and what to do, as `{text, advice}`, from an error of the connection. */
export function errorWords(error) {
  const [text, advice] = ERRORS[error?.kind] ?? [];
  if (text) return { text, advice };
  if (error?.kind === undefined) return { text: "The server did not answer.", advice: "Please try again." };
  return { text: "Something went wrong.", advice: `${SUPPORT} It is called “${error.kind}”.` };
}

/** Why the connection was closed for good, from its close code and the error that came before it. */
export function closedWords({ code, error }) {
  if (code === 4509) {
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
