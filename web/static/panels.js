/** The parts of the page that ask for something: who waits, a proposal, consents, and the dialogs. */

import { byId, setText } from "./dom.js";
import { consentWords } from "./terms.js";
import * as words from "./words.js";

const asked = new Map(); // dialog -> what takes its answer

/** The answer to a dialog: the `value` of the button pressed, "" when it was closed without one. */
export function ask(id) {
  const dialog = byId(id);
  if (dialog.open) return Promise.resolve("");
  settle(dialog); // closed a moment ago, and its event is still to come
  dialog.returnValue = "";
  dialog.showModal();
  dialog.onclose = () => dialog.open || settle(dialog);
  return new Promise((resolve) => asked.set(dialog, resolve));
}

function settle(dialog) {
  asked.get(dialog)?.(dialog.returnValue);
  asked.delete(dialog);
}

/** Close whatever dialog is open: what it asked about is over. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("");
}

/** Everyone who waits, by `name(account)`, with the buttons that let them in or turn them away. */
export function showWaiting(waiting, name) {
  byId("knock").hidden = waiting.length === 0;
  byId("admit-all").hidden = waiting.length < 2;
  const contents = (waiter) => {
    const { account } = waiter;
    const who = name(account);
    return [
      text(words.waiterWords(who, waiter)),
      button("admit", "Let in", `Let in: ${who}`, { account }, "primary"),
      button("deny", "Not now", `Not now: ${who}`, { account }, "secondary"),
    ];
  };
  // Whoever gets another name, because one more of their kind came, gets another line.
  fill(byId("waiters"), waiting, ({ account }) => `${account} ${name(account)}`, contents);
}

/** A proposal with its answers, or null. */
export function showOffer(offer) {
  byId("offer").hidden = offer === null;
  setText(byId("offer-text"), offer?.text ?? "");
  for (const answer of ["accept", "decline"]) {
    setText(byId(answer), offer?.[answer] ?? "");
    byId(answer).hidden = !offer?.[answer];
  }
}

/** How the encryption of the messages stands. */
export function showStanding(standing, words) {
  document.body.dataset.encryption = standing;
  setText(byId("sealing"), words);
}

/** What is to be decided about keys, with its answers, or null. */
export function showQuestion(question) {
  byId("question").hidden = question === null;
  setText(byId("question-text"), question?.text ?? "");
  setText(byId("key-accept"), question?.accept ?? "");
  setText(byId("key-decline"), question?.decline ?? "");
}

/** Tell about the encryption, with `[name, number]` of each person to be made sure of. */
export function askAboutEncryption(explanation, numbers) {
  setText(byId("encryption-text"), explanation);
  const rows = numbers.map(([name, number]) => row([text(name), text(number)]));
  byId("numbers").replaceChildren(...rows);
  return ask("encrypting");
}

/** What the session asks consent to. `answered(given)` gets the terms whose boxes are ticked. */
export function showConsents(terms, answered) {
  byId("consent-list").replaceChildren(...terms.map((term, i) => consentItem(term, `consent-${i}`)));
  byId("consents").onsubmit = (event) => {
    event.preventDefault();
    answered(terms.filter((_, i) => byId(`consent-${i}`).checked));
  };
}

function consentItem(term, id) {
  const { label, detail, needed } = consentWords(term);
  const box = Object.assign(document.createElement("input"), { type: "checkbox", id, required: needed });
  const name = Object.assign(document.createElement("label"), { htmlFor: id, textContent: label });
  const small = Object.assign(document.createElement("small"), { textContent: `${detail}.` });
  small.id = `${id}-detail`;
  box.setAttribute("aria-describedby", small.id);
  return row([box, name, small]);
}

/** Ask which consent to change, of those given and those not: "withdraw 0", "give 1", or ""; counted through. */
export function askAboutConsents(given, missing) {
  const line = (term, i) => {
    const { label } = consentWords(term);
    const agreed = i < given.length;
    const [content, value] = agreed ? ["Take it back", `withdraw ${i}`] : ["Agree", `give ${i}`];
    const state = agreed ? "You agree" : "You do not agree";
    const now = Object.assign(document.createElement("span"), { className: "current", textContent: state });
    return row([text(label), now, answer(content, label, value)]);
  };
  byId("agreements").replaceChildren(...[...given, ...missing].map(line));
  return ask("consenting");
}

/** Ask whether a consent is to be taken back, with what follows from it in words. */
export async function askToWithdraw(term, follows) {
  setText(byId("withdrawn-term"), `${consentWords(term).label}.`);
  setText(byId("withdrawal"), follows);
  return (await ask("withdrawing")) === "withdraw";
}

/** Ask how to talk: "change audio", "propose video", or "". */
export function askHowToTalk(current) {
  for (const item of document.querySelectorAll("#modalities li")) {
    const now = item.dataset.talk === current;
    item.querySelector(".current").hidden = !now;
    for (const choice of item.querySelectorAll("button")) choice.hidden = now;
  }
  return ask("talking");
}

/** Ask a therapist what to change: "extend 10", "urgent", "back <account>", or ""; `name(account)` is known. */
export function askAboutTime(session, others, name) {
  setText(byId("standing"), words.standingWords(session));
  const [reason, label] = session.urgent
    ? ["The session is kept open and does not end by itself.", "Let it end again"]
    : ["The session can be kept open: then it does not end by itself.", "Keep it open"];
  setText(byId("urgent-text"), reason);
  setText(byId("urgent"), label);
  const guests = others.filter((account) => session.roles?.[account] !== "therapist");
  byId("people-inside").hidden = guests.length === 0;
  fill(byId("inside"), guests, (account) => `${account} ${name(account)}`, (account) => {
    const who = name(account);
    return [text(who), answer("To the waiting room", who, `back ${account}`)];
  });
  return ask("timing");
}

/** Ask for one of these definitions: its `form`, or "". */
export function askToChoose(definitions, explanation) {
  setText(byId("choosing-text"), explanation);
  byId("offered").replaceChildren(...definitions.map(({ form, title }) => answer(title, "questionnaire", form)));
  return ask("choosing");
}

/** Have a questionnaire filled in: for each item the number of the choice, or null. */
export async function askForm({ title, question, items, choices }) {
  setText(byId("filling-title"), title);
  setText(byId("filling-text"), question);
  byId("items").replaceChildren(...items.map((item, i) => itemField(item, i, choices)));
  if ((await ask("filling")) !== "send") return null;
  const given = new FormData(byId("filling").querySelector("form"));
  return items.map((_, i) => Number(given.get(`item-${i}`)));
}

function itemField(item, number, choices) {
  const field = document.createElement("fieldset");
  field.append(Object.assign(document.createElement("legend"), { textContent: `${number + 1}. ${item}` }));
  const given = { type: "radio", name: `item-${number}`, required: true };
  choices.forEach((choice, i) => {
    const label = document.createElement("label");
    label.append(Object.assign(document.createElement("input"), { ...given, value: i }), choice.text);
    field.append(label);
  });
  return field;
}

/** Ask how the session was, once. `answered({score, technical})` gives a promise that is kept when it is sent. */
export function showRating(answered) {
  const form = byId("rating");
  form.hidden = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { score, technical } = Object.fromEntries(new FormData(form));
    const send = form.querySelector("[type=submit]");
    send.disabled = true;
    const sent = await answered({ score: Number(score), technical: technical === "on" });
    send.disabled = false;
    if (!sent) return;
    form.hidden = true;
    byId("rated").hidden = false;
    setText(byId("rated"), words.ratedWords());
  };
}

/** Nobody is asked how it was, or not any more. */
export function hideRating() {
  byId("rating").hidden = byId("rated").hidden = true;
}

/** Bring a list in line with `items` without touching what stays, so that the focus stays too. */
function fill(element, items, key, contents) {
  const known = new Map([...element.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const child = known.get(key(item)) ?? row(contents(item));
    child.dataset.key = key(item);
    return child;
  });
  for (const child of known.values()) if (!wanted.includes(child)) child.remove();
  for (const child of wanted) if (!child.isConnected) element.append(child);
}

function row(children) {
  const item = document.createElement("li");
  item.append(...children);
  return item;
}

function text(content) {
  return Object.assign(document.createElement("span"), { className: "row-name", textContent: content });
}

/** A button that closes its dialog with this `value`, about someone or something. */
function answer(content, about, value) {
  return Object.assign(button("", content, `${content}: ${about}`, {}, "secondary"), { type: "submit", value });
}

function button(action, content, name, data, className) {
  const element = Object.assign(document.createElement("button"), { type: "button", className });
  element.textContent = content;
  element.ariaLabel = name;
  Object.assign(element.dataset, action ? { action, ...data } : data);
  return element;
}
