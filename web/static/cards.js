/** The markup of what messages hold besides text: files on their way or there, questionnaires, results. */

import { setText } from "./dom.js";
import { GAD_7, PHQ_9, SHIPPED, score } from "./e2ee/forms.js";
import { E2eeError } from "./e2ee/errors.js";
import { harmlessName } from "./harmless.js";
import { askedWords, misstatedWords, resultWords, sizeWords } from "./papers.js";

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** The definitions that can be sent from here. */
export const OFFERED = [PHQ_9, GAD_7];

/** A file. What becomes of it is put with `put`. */
export class FileCard {
  element = made("div", "card");
  #mid;
  #name;
  #detail = made("p", "card-detail");
  #bar = Object.assign(made("progress"), { max: 1, hidden: true });
  #status = made("p", "card-status");
  #choices = made("div", "choices");

  constructor(mid, { name, size }) {
    this.#mid = mid;
    this.#name = harmlessName(name);
    setText(this.#detail, sizeWords(size));
    this.#bar.ariaLabel = this.#name;
    this.#status.role = "status";
    this.element.append(made("p", "card-title", this.#name), this.#detail, this.#bar, this.#status, this.#choices);
  }

  /** How it stands: a text, how much is done (0 to 1, or null), and buttons as `[action, label]`. */
  put(text, { done = null, buttons = [] } = {}) {
    setText(this.#status, text);
    this.#bar.hidden = done === null;
    if (done !== null) this.#bar.value = done;
    const labels = buttons.map(([, label]) => label).join();
    if (labels === this.#choices.dataset.labels) return; // the focus stays where it is
    this.#choices.dataset.labels = labels;
    const made = buttons.map(([action, label]) => pressed(action, label, this.#name, this.#mid));
    this.#choices.replaceChildren(...made);
  }

  /** Show a picture; a promise that the browser can read it. */
  async show(blob) {
    const picture = Object.assign(made("img", "card-picture"), { alt: this.#name });
    const url = URL.createObjectURL(blob);
    picture.src = url;
    try {
      await picture.decode();
    } finally {
      URL.revokeObjectURL(url);
    }
    this.element.querySelector("img")?.remove();
    this.element.prepend(picture);
  }

  /** Hand a file to the browser to be saved; of no type, so that nothing in it is ever run here. */
  save(blob) {
    const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
    Object.assign(made("a"), { href: url, download: this.#name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // by then it is read
  }
}

/** A questionnaire that somebody is asked to fill in. */
export function formCard(mid, { definition, due_ms: dueMs }, isMine) {
  const card = made("div", "card");
  const due = dueMs === null ? null : day.format(dueMs);
  card.append(made("p", "card-title", definition.title), made("p", "card-detail", askedWords(isMine, due)));
  if (!isMine) {
    const choices = made("div", "choices");
    choices.append(pressed("form-fill", "Fill it in", definition.title, mid));
    card.append(choices);
  }
  return card;
}

/** A result, counted again here; `definition` is that of its form, or null where none is known. */
export function resultCard(result, definition) {
  const card = made("div", "card");
  const known = definition ?? shippedFor(result);
  if (known === null) {
    card.append(made("p", "card-title", result.form), made("p", "card-result", resultWords(result, null)));
    return card;
  }
  card.append(made("p", "card-title", known.title));
  try {
    const counted = score(known, result.answers);
    card.append(made("p", "card-result", resultWords(counted, mostOf(known))));
    const misstated = counted.total !== result.total || counted.band !== result.band;
    if (misstated) card.append(made("p", "card-warning", misstatedWords(result)));
    card.append(answersOf(known, result.answers));
  } catch (error) {
    if (!(error instanceof E2eeError)) throw error;
    card.append(made("p", "card-warning", "The answers do not fit this questionnaire."));
  }
  return card;
}

/** What was answered to each item; what is urgent stands open to be seen. */
function answersOf(definition, answers) {
  const details = made("details");
  const list = made("ol");
  definition.items.forEach((item, i) => {
    const line = made("li", "", `${item}: `);
    const isUrgent = definition.urgent_items.includes(i) && answers[i] > 0;
    line.append(made("strong", "", definition.choices[answers[i]].text));
    if (isUrgent) line.className = "card-warning";
    details.open ||= isUrgent;
    list.append(line);
  });
  details.append(made("summary", "", "Answers"), list);
  return details;
}

function shippedFor({ form, version }) {
  const shipped = Object.hasOwn(SHIPPED, form) ? SHIPPED[form] : null;
  return shipped?.version === version ? shipped : null;
}

function mostOf({ items, choices }) {
  return items.length * Math.max(...choices.map(({ points }) => points));
}

function pressed(action, label, about, mid) {
  const button = Object.assign(made("button", "secondary", label), { type: "button", ariaLabel: `${label}: ${about}` });
  Object.assign(button.dataset, { action, mid });
  return button;
}

function made(tag, className = "", textContent = "") {
  return Object.assign(document.createElement(tag), { className, textContent });
}
