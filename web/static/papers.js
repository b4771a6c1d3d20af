/** What people are told of files and questionnaires among the messages, in words. */

import { errorWords } from "./troubles.js";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"];

/** A size in bytes, as people read it: "1.2 MB". */
export function sizeWords(bytes) {
  const step = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1);
  const format = { style: "unit", unit: UNITS[step], maximumFractionDigits: step < 2 ? 0 : 1 };
  return new Intl.NumberFormat(undefined, format).format(bytes / 1000 ** step);
}

/** What happens to a file now. */
export const FILE_WORDS = {
  queued: "Waits for the file before it",
  sealing: "Encrypting…",
  uploading: "Sending…",
  fetching: "Fetching and checking…",
  saved: "Checked and handed to your browser",
  notPicture: "This is not a picture that can be shown here. You can save it.",
};

const REFUSALS = {
  no_such_blob: ["This file is not there any more.", "Files are kept for a limited time. Ask for it to be sent again."],
  attachment_tampered: ["This is not the file that was sent: it was changed.", "Nothing of it was kept. Ask for it again."],
  attachment_truncated: ["This file is not complete.", "Nothing of it was kept. Ask for it to be sent again."],
  blob_too_large: ["This file is too large for this service.", "Send a smaller one, or parts of it."],
  blob_quota: ["There is no more place for files here.", "Older ones have to go first. Please ask the people who run this."],
  blob_differs: ["The file was damaged on its way.", "Please try again."],
  store_full: ["The server has no place for files at this moment.", "Please try again later."],
  token_scope: ["Files cannot be sent or fetched with this link.", "Please tell the people who gave you this link."],
  rate_limited: ["Too many files at once.", "Wait a moment, then try again."],
};

/** Why a file could not be sent or fetched, as one text. */
export function fileTroubleWords(error) {
  if (error.name === "NotReadableError" || error.name === "NotFoundError") {
    return "The file cannot be read. Was it moved or changed? Please choose it again.";
  }
  if (error.kind === undefined) return "The connection was lost. Try again when it is back; what is there is not sent twice.";
  const known = REFUSALS[error.kind];
  const { text, advice } = known ? { text: known[0], advice: known[1] } : errorWords(error);
  return `${text} ${advice}`;
}

/** The questionnaires on offer, from the reader's side. */
export function offeredWords(isTherapist) {
  return isTherapist
    ? "The other side is asked to fill it in. The answers come back to this room, encrypted."
    : "Your answers are counted on this device, and sent to this room, encrypted.";
}

/** That someone is asked to fill a form in; `due` is a day as text, or null. */
export function askedWords(isMine, due) {
  const until = due === null ? "" : ` by ${due}`;
  return isMine ? `You have asked for this to be filled in${until}.` : `Please fill this in${until}.`;
}

/** What a result comes to: "14 of 27: moderate". */
export function resultWords({ total, band }, most) {
  const of = most === null ? "" : ` of ${most}`;
  return band ? `${total}${of}: ${band}` : `${total}${of}`;
}

/** That the sums stated in a message are not what its answers come to. */
export function misstatedWords({ total, band }) {
  return `The message itself says ${total}${band ? `, ${band}` : ""}: that is not what its answers come to.`;
}
