/**
 * Everything that happens, in words for the people it happens to.
 *
 * `reader` is the role of whose page it is: people are called what they are to each other, since the server
 * knows no names. What goes wrong is in `troubles.js`, what people agree to in `terms.js`.
 */

import { exactTime, roundTime } from "./clock.js";

const THERAPIST = "therapist";
const SOON_MS = 5 * 60_000;
const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const list = new Intl.ListFormat(undefined, { type: "conjunction" });

const capitalised = (text) => text[0].toUpperCase() + text.slice(1);
const lowered = (text) => text[0].toLowerCase() + text.slice(1);
const minutesWords = (count) => (count === 1 ? "1 minute" : `${count} minutes`);

/** "14:50", as the reader writes it. */
export function timeOfDay(instant) {
  return hour.format(instant);
}

// --- People ----------------------------------------------------------------------------------------------

const ROLES = { therapist: "therapist", client: "client", interpreter: "interpreter", observer: "observer" };

/** What `reader` calls a person of another role; with their `number` where several have it, 0 if none does. */
export function personWords(reader, role, number = 0) {
  const name = ROLES[role] ?? "guest";
  if (number > 0) return `${capitalised(name)} ${number}`;
  if (role === THERAPIST && reader === "client") return "Your therapist";
  if (role === "client" && reader === THERAPIST) return "Your client";
  if (role === "client" && reader === "client") return "The other client";
  return role in ROLES ? `The ${name}` : "A guest";
}

/** Whom the reader is waiting for. */
export function otherWords(reader) {
  if (reader === THERAPIST) return "your client";
  return reader === "client" ? "your therapist" : "the therapist";
}

/** "Your client and the interpreter", of several names. */
export function peopleWords(names) {
  return list.format(names.map((name, i) => (i === 0 ? name : lowered(name))));
}

// --- The lobby and the waiting room ----------------------------------------------------------------------

/**
 * The lobby, as `{title, when, before, join}`; `session` is null until known, `inside` and `waiting` are the
 * names of who is there, and `knock` is how the door stands for the reader: null, "waiting", "sent_back" or
 * "denied".
 */
export function lobbyWords(session, now, reader, { inside = [], waiting = [], knock = null } = {}) {
  if (session === null) return { title: "Welcome", when: "One moment, please…", before: "", join: JOIN };
  const hours = hour.formatRange(session.starts_ms, session.agreed_end_ms);
  const when = `${day.format(session.starts_ms)}, ${hours}`;
  const other = otherWords(reader);
  if (knock !== null) return { ...KNOCKS[knock](other), when };
  const early = session.opens_ms - now;
  let before = "You can come in now. Take a moment to check how you look and sound.";
  if (session.modality === "chat") before = "You can come in now.";
  if (waiting.length > 0) before = waitersWords(waiting);
  else if (inside.length > 0) before = `${peopleWords(inside)} ${isOrAre(inside)} already here.`;
  if (early > 0) before = `You can come in at ${timeOfDay(session.opens_ms)}, in ${roundTime(early)}.`;
  return { title: `Your session with ${other}`, when, before, join: JOIN };
}

const JOIN = "Join the session";
const KNOCKS = {
  waiting: (other) => ({
    title: "You are in the waiting room",
    before: `${capitalised(other)} sees that you are here and will let you in. You need not do anything.`,
  }),
  sent_back: (other) => ({
    title: "You are in the waiting room again",
    before: `${capitalised(other)} asks you for a moment of patience and will let you in again.`,
  }),
  denied: (other) => ({
    title: "Not just now",
    before: `${capitalised(other)} cannot let you in at this moment. You can knock again.`,
    join: "Knock again",
  }),
};

/** Who is in the waiting room, in one sentence. */
export function waitersWords(names) {
  return `${peopleWords(names)} ${isOrAre(names)} in the waiting room.`;
}

const isOrAre = (names) => (names.length === 1 ? "is" : "are");

/** One line of the waiting room, as the therapist sees it. */
export function waiterWords(name, { since_ms }) {
  return `${name} is waiting, since ${timeOfDay(since_ms)}`;
}

/**
 * Who is running late, until when one may expect them; "" when nobody is. `late` as the server tells it, with
 * `own` for what the reader has said.
 */
export function latenessWords(late, now, reader) {
  const sentences = late.flatMap(({ role, minutes, at_ms, own }) => {
    const expected = at_ms + minutes * 60_000;
    if (minutes === 0 || expected < now) return [];
    if (own) return [`You have said that you will be late, until about ${timeOfDay(expected)}.`];
    return [`${personWords(reader, role)} is running late and expects to be here at ${timeOfDay(expected)}.`];
  });
  return sentences.join(" ");
}

/** What stands where the others will be seen, as long as nobody is there. */
export function waitingWords(reader) {
  return `You are in the right place. ${capitalised(otherWords(reader))} is not here yet.`;
}

/** The same, when they are there and on their way to be seen and heard. */
export function connectingWords(names) {
  return `Connecting you with ${lowered(peopleWords(names))}…`;
}

/** What a guest of the session sees while the others write to each other. */
export function writingWords() {
  return "The others are writing to each other at this moment. What they write is not shown to guests.";
}

// --- The clock -------------------------------------------------------------------------------------------

/** How the clock stands, as `[text, tone]`: to the second for a therapist, gently for everyone else. */
export function clockWords(session, now, reader) {
  if (now < session.starts_ms) return [`Begins at ${timeOfDay(session.starts_ms)}`, "calm"];
  const exact = reader === THERAPIST;
  const shown = exact ? exactTime : roundTime;
  const tone = (rest) => (rest < SOON_MS ? "soon" : "calm");
  const left = session.agreed_end_ms - now;
  if (left > 0 && session.state !== "overrun") return [`${shown(left)} left`, tone(left)];
  if (session.urgent) return [exact ? "Over time, kept open" : "The session stays open", "calm"];
  if (session.state !== "overrun") return ["", "calm"];
  const rest = Math.max(0, session.cap_ms - now);
  if (exact) return [`Over time, ${shown(rest)} to the end`, tone(rest)];
  return [`A little over time, ${shown(rest)} at most`, "calm"];
}

/** A cue of the server, to be read and read aloud. */
export function cueWords({ until, left_ms }) {
  if (left_ms === 0) {
    return until === "cap" ? "The session ends now." : "The agreed time is over. You can still come to a close.";
  }
  const minutes = minutesWords(Math.round(left_ms / 60_000));
  const left = left_ms < 60_000 ? `${Math.round(left_ms / 1000)} seconds` : minutes;
  return until === "cap" ? `The session ends for everyone in ${left}.` : `${left} left.`;
}

/** How the session stands, for the therapist who is about to change that. */
export function standingWords({ agreed_end_ms, cap_ms, both_ms = 0, urgent = false }) {
  const [ends, latestEnd] = [timeOfDay(agreed_end_ms), timeOfDay(cap_ms)];
  const latest = latestEnd === ends ? "" : `, at the latest at ${latestEnd}`;
  const end = urgent
    ? "It stays open until you allow it to end again."
    : `It ends at ${ends}${latest}.`;
  const together = Math.floor(both_ms / 60_000);
  return together === 0 ? end : `${end} You have been together for ${minutesWords(together)}.`;
}

/** The session was extended; `overlaps` is the start of a session that it now runs into, or undefined. */
export function extendedWords({ agreed_end_ms }, overlaps) {
  const text = `The session now ends at ${timeOfDay(agreed_end_ms)}.`;
  if (overlaps === undefined) return text;
  return `${text} Your next one begins before that, at ${timeOfDay(overlaps)}.`;
}

/** Nobody knows whether the session was extended. */
export function unsureWords() {
  const text = "No answer came when the session was being extended.";
  return { text, advice: "It is extended only once." };
}

// --- How people talk -------------------------------------------------------------------------------------

const MODALITIES = { video: "sound and picture", audio: "sound only", chat: "writing" };

/** Someone has changed how everyone talks. */
export function changedWords(who, modality) {
  return `${who} changed to ${MODALITIES[modality]}.`;
}

/** A proposal of another modality, as `{text, accept, decline}`; `accept` is "" when it is one's own. */
export function proposalWords(modality, current, who) {
  if (who === null) {
    return { text: `You have proposed ${MODALITIES[modality]}.`, accept: "", decline: "Take it back" };
  }
  const text = `${who} would like to go on with ${MODALITIES[modality]}.`;
  return { text, accept: `Go on with ${MODALITIES[modality]}`, decline: `Stay with ${MODALITIES[current]}` };
}

/** One's own link is bad, as `{text, accept, decline}`. */
export function weakLinkWords() {
  const text = "Your connection is weak. Without the picture the sound will be better.";
  return { text, accept: "Go on with sound only", decline: "Keep the picture" };
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

// --- The end ---------------------------------------------------------------------------------------------

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

/** The reader was taken out of a session that goes on. */
export function outWords() {
  return { ...leftWords(), title: "You are no longer in the session" };
}

/** The reader has left a session that goes on. */
export function leftWords() {
  const text = "It goes on until its agreed end, and you can come back until then.";
  return { title: "You have left the session", text, again: "Come back" };
}

/** The reader was asked how it was, and has answered. */
export function ratedWords() {
  return "Thank you. Your answer was sent.";
}
