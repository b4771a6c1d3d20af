/** What people are told of the encryption of their messages, in words. What is done is in `encryption.js`. */

import { peopleWords } from "./words.js";

/**
 * How it stands, as one line above the messages: "starting", "on", "new" or "off"; `unreached` are the names of
 * those who have no device that could read what is written now.
 */
export function standingWords(standing, unreached) {
  if (standing === "on" && unreached.length > 0) {
    return `End-to-end encrypted. ${peopleWords(unreached)} cannot read it: no keys of theirs are known yet.`;
  }
  return {
    starting: "Preparing the encryption…",
    on: "End-to-end encrypted",
    new: "This browser is new: it cannot read or send messages yet.",
    off: "Not end-to-end encrypted: this browser cannot do it. What you write can be read on the server.",
  }[standing];
}

/** What more there is to say of it, in the dialog; `code` is the code of this browser, or null. */
export function explanationWords(standing, code) {
  const own = code === null ? "" : ` The code of this browser is ${code}.`;
  return {
    starting: "The keys of this browser are being made.",
    on:
      "Only the people of this room can read what is written here. To make sure of someone, compare the number " +
      `beside them: both of you have to see the same one.${own}`,
    new:
      "Open your link in the browser that you have used before, and let this one in there. It has to show this " +
      `code: ${code}. If you no longer have that browser, please tell the people who gave you this link.`,
    off:
      "The newest version of another browser may be able to. Sound and picture are encrypted on their way all " +
      "the same.",
  }[standing];
}

/** What stands beside a person: the number to compare, or why there is none. */
export function numberWords(number) {
  return number ?? "Has not opened a link yet: nothing can be encrypted for them before.";
}

/** A device that asks to be let in, as `{text, accept, decline}`. */
export function newcomerWords(code) {
  const text =
    "Another browser has opened your link and asks to read your messages. Let it in only if it is yours and " +
    "shows this code:";
  return { text: `${text} ${code}`, accept: "Let it in", decline: "Turn it away" };
}

/** Someone has another key than before, as `{text, accept, decline}`; `number` is the one to compare now. */
export function changedKeyWords(who, number) {
  const text =
    `${who} has other keys than before. That is so when someone has lost all their devices, and also when ` +
    "someone else is there in their place. Ask them, by voice, whether they see this number: " +
    `${number}. Nothing is sent before you decide.`;
  return { text, accept: "They see the same number", decline: "Not now" };
}

const REASONS = {
  before_this_device: "Written before this browser was there. It cannot be read here.",
  identity_changed: "Written with other keys than before, about which you had not decided.",
  duplicate: "A message that was there before was delivered once more.",
  replayed: "A message that was there before was delivered once more.",
  missing_slot: "The keys for this message were kept from this browser.",
  unknown_epoch: "The keys for this message have not come.",
  stale_list: "Written on a device that no longer belongs to this person.",
  unknown_device: "Written on a device that does not belong to this person.",
  forged_signature: "Not written by the person it names.",
  unsupported: "This message is encrypted, and this browser cannot open it.",
};

/** Why a message cannot be read, from the kind of the error. */
export function reasonWords(kind) {
  return REASONS[kind] ?? `This message cannot be opened. What is wrong is called “${kind}”.`;
}

/** A message of a type that this page does not know. */
export function unknownTypeWords() {
  return "This message needs a newer version of this page.";
}

/** Messages of someone that have not come; `count` is null when it is not known how many. */
export function missingWords(count) {
  if (count === null) return "Messages before this one are missing.";
  return count === 1 ? "A message before this one is missing." : `${count} messages before this one are missing.`;
}

/** What follows is sealed to an archive, too, or no longer. */
export function archivedWords(archive) {
  return archive === null
    ? "What follows is not kept in an archive any more."
    : "What follows can be read in an archive of the organisation, too.";
}

/** What the server shows of someone's keys cannot be right. */
export function suspicionWords(who, kind) {
  const text = `What the server shows of the keys of ${who} cannot be right (“${kind}”).`;
  return { text, advice: "Messages may have to wait. Please tell the people who gave you this link." };
}
