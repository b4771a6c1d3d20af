/** What a session asks consent to, in words: what it is, and what follows from giving it and taking it back. */

import { otherWords } from "./words.js";

const CONSENTS = {
  telehealth: "Holding this session over the internet",
  guests: "Other people being present who are not your therapist",
  observer: "Someone observing the session without taking part",
  recording: "A recording of the session",
  interpreter: "An interpreter being present",
};

/** A consent that is asked for, as `{label, detail, needed}`. */
export function consentWords({ kind, version }) {
  const needed = kind !== "observer";
  const label = CONSENTS[kind] ?? `What your platform calls “${kind}”`;
  return { label, detail: `Version ${version}${needed ? "" : ". You can come in without this one"}`, needed };
}

/** The reader does not agree to what the session asks for. */
export function declinedWords(reader) {
  const advice = `Talk to ${otherWords(reader)} about it, or choose again when you want to come in.`;
  return { text: "You have not agreed, so you stay outside.", advice };
}

/** What follows when the reader, who is at this `place`, takes a consent back. */
export function withdrawalWords(term, place, reader) {
  const kept = "That you agreed, and that you took it back, is kept with its date.";
  return `${consequence(consentWords(term).needed, place, otherWords(reader))} ${kept}`;
}

function consequence(needed, place, other) {
  if (!needed && place === "inside") {
    return "Whoever observes is taken out of the session at once. You stay in it, and it goes on.";
  }
  if (!needed) return "Nobody can observe while you are in the session. You can come in without this.";
  if (place === "waiting") return `You go on waiting, but ${other} cannot let you in unless you agree again.`;
  if (place === "outside") return "You cannot come in unless you agree again.";
  const now = "You stay in the session for now, and nobody else has to leave it.";
  return `${now} If that is not what you want, tell ${other}, or leave. To come in again you have to agree again.`;
}

/** The reader has changed their mind. */
export function changedMindWords(term, given) {
  return `${given ? "You agree to" : "You have taken it back"}: ${consentWords(term).label}.`;
}

/** Who has taken back what, as `{name, kind, version}` each; empty if nobody has. */
export function takenBackWords(withdrawn) {
  return withdrawn.map(({ name, ...term }) => `${name} has taken it back: ${consentWords(term).label}.`).join(" ");
}

/** Someone who waits cannot be let in: they have taken back what the session needs. */
export function notAgreedWords() {
  const text = "Not everyone who waits agrees to what this session asks for.";
  return { text, advice: "They can agree again while they wait. Let the others in one by one." };
}
