/** Questionnaires among the messages: asked for by therapists, filled in and counted on the person's device. */

import { OFFERED, formCard, resultCard } from "./cards.js";
import { SHIPPED, score } from "./e2ee/forms.js";
import { ask, askForm, askToChoose } from "./panels.js";
import { offeredWords } from "./papers.js";
import { uuid7, uuidFromBytes, uuidToBytes } from "./uuid.js";

export class Questionnaires {
  #page;
  #forms = new Map(); // mid -> {definition, isMine} of a form that stands in the log

  /** By `data-action`: what the buttons do. */
  actions = {
    forms: () => this.#choose(),
    "form-fill": ({ mid }) => this.#fill(this.#forms.get(mid).definition, mid),
  };

  /** `page` has `conversation`, `isTherapist()`, and `send(content, {mid, urgent})`. */
  constructor(page) {
    this.#page = page;
  }

  /** The card of a form that stands in the log. */
  formCardOf(mid, content, isMine) {
    this.#forms.set(mid, { definition: content.definition, isMine });
    return formCard(mid, content, isMine);
  }

  /**
   * The card of a result. Its form is the one it answers, if that is known and the same; but nobody says by which
   * form their own answers are counted.
   */
  resultCardOf(content, isMine) {
    const asked = content.answer_to === null ? undefined : this.#forms.get(uuidFromBytes(content.answer_to));
    const { definition } = asked ?? {};
    const isTheSame = definition?.form === content.form && definition.version === content.version;
    return resultCard(content, isTheSame && asked.isMine !== isMine ? definition : null);
  }

  async #choose() {
    const isTherapist = this.#page.isTherapist();
    const form = await askToChoose(OFFERED, offeredWords(isTherapist));
    if (form === "") return;
    const definition = SHIPPED[form];
    if (!isTherapist) return this.#fill(definition, null);
    const mid = uuid7();
    const content = { type: "form", definition, due_ms: null };
    await this.#send(mid, content, this.formCardOf(mid, content, true), false);
  }

  /** Have a form filled in, and send what it comes to. */
  async #fill(definition, answerTo) {
    const answers = await askForm(definition);
    if (answers === null) return;
    const { total, band, urgent } = score(definition, answers);
    const choice = urgent ? await ask("urging") : "usual";
    if (choice === "") return;
    const { form, version } = definition;
    const answered = answerTo === null ? null : uuidToBytes(answerTo);
    const content = { type: "form_result", form, version, answers, total, band, answer_to: answered };
    await this.#send(uuid7(), content, resultCard(content, definition), choice === "urgent");
  }

  async #send(mid, content, card, urgent) {
    this.#page.conversation.begin(mid, card, "pending");
    try {
      await this.#page.send(content, { mid, urgent });
    } catch (error) {
      this.#page.conversation.mark(mid, "failed");
      throw error;
    }
  }
}
