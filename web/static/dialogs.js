/** The markup of the dialogs. Each closes with the `value` of the button that was pressed. */

const choice = (value, text, kind = "secondary", extra = "") =>
  `<button class="${kind}" value="${value}" ${extra}>${text}</button>`;

const dialog = (id, title, content) => `
  <dialog id="${id}" aria-labelledby="${id}-title">
    <form method="dialog">
      <h2 id="${id}-title">${title}</h2>
      ${content}
    </form>
  </dialog>`;

const leaving = dialog(
  "leaving",
  "Leave or end?",
  `<p>If you leave, the session goes on and you can come back.</p>
  <p>If you end it, it is over for everyone.</p>
  <div class="choices">
    ${choice("stay", "Stay", "secondary", "autofocus")}
    ${choice("leave", "Leave")}
    ${choice("end", "End for everyone", "danger")}
  </div>`,
);

const talking = dialog(
  "talking",
  "How do you want to talk?",
  `<p>Changing takes effect for everyone at once. You can also ask first.</p>
  <ul class="rows" id="modalities">${["video", "audio", "chat"]
    .map((modality) => {
      const name = { video: "Sound and picture", audio: "Sound only", chat: "Writing" }[modality];
      return `
        <li data-talk="${modality}">
          <span class="row-name" id="talk-${modality}">${name}</span>
          <span class="current" hidden>now</span>
          ${choice(`change ${modality}`, "Change", "secondary", `aria-describedby="talk-${modality}"`)}
          ${choice(`propose ${modality}`, "Ask first", "secondary", `aria-describedby="talk-${modality}"`)}
        </li>`;
    })
    .join("")}</ul>
  <div class="choices">${choice("", "Leave it as it is", "secondary", "autofocus")}</div>`,
);

const timing = dialog(
  "timing",
  "Time and people",
  `<p id="standing"></p>
  <fieldset>
    <legend>Make it longer by</legend>
    <div class="choices">
      ${[5, 10, 15].map((minutes) => choice(`extend ${minutes}`, `${minutes} minutes`)).join("")}
    </div>
  </fieldset>
  <fieldset>
    <legend>In an emergency</legend>
    <p id="urgent-text"></p>
    ${choice("urgent", "", "secondary", 'id="urgent"')}
  </fieldset>
  <fieldset id="people-inside">
    <legend>In the session</legend>
    <ul class="rows" id="inside"></ul>
  </fieldset>
  <div class="choices">${choice("", "Close", "secondary", "autofocus")}</div>`,
);

const lateness = dialog(
  "lateness",
  "How late will you be?",
  `<p>Everyone who is invited is told, but not the reason.</p>
  <div class="choices">
    ${[5, 10, 15, 20].map((minutes) => choice(`${minutes}`, `${minutes} minutes`)).join("")}
    ${choice("0", "Not late after all")}
    ${choice("", "Go back", "secondary", "autofocus")}
  </div>`,
);

const consenting = dialog(
  "consenting",
  "What you agree to",
  `<p>You can change your mind for as long as the session is not over.</p>
  <ul class="rows" id="agreements"></ul>
  <div class="choices">${choice("", "Leave it as it is", "secondary", "autofocus")}</div>`,
);

const withdrawing = dialog(
  "withdrawing",
  "Take this back?",
  `<p id="withdrawn-term" class="quoted"></p>
  <p id="withdrawal"></p>
  <div class="choices">
    ${choice("", "Leave it as it is", "secondary", "autofocus")}
    ${choice("withdraw", "Take it back", "danger")}
  </div>`,
);

const encrypting = dialog(
  "encrypting",
  "Encryption",
  `<p id="encryption-text"></p>
  <ul class="rows" id="numbers"></ul>
  <div class="choices">${choice("", "Close", "secondary", "autofocus")}</div>`,
);

const choosing = dialog(
  "choosing",
  "Questionnaires",
  `<p id="choosing-text"></p>
  <div class="choices" id="offered"></div>
  <div class="choices">${choice("", "Close", "secondary", "autofocus")}</div>`,
);

const filling = dialog(
  "filling",
  "",
  `<p id="filling-text"></p>
  <div id="items" class="items"></div>
  <div class="choices">
    ${choice("send", "Count and send", "primary")}
    ${choice("", "Not now", "secondary", "formnovalidate")}
  </div>`,
);

const urging = dialog(
  "urging",
  "Before this is sent",
  `<p>One of your answers tells of something that should not wait, such as thoughts of death or of hurting
    yourself. It is good that you say so.</p>
  <p><strong>If you are in danger now, call the emergency number of your country, such as 112 or 911, or go to
    the nearest hospital.</strong> It is not certain that somebody reads this at once.</p>
  <p>You can mark it as urgent: then it stands out, and is told even in quiet hours.</p>
  <div class="choices">
    ${choice("urgent", "Send it as urgent", "primary", "autofocus")}
    ${choice("usual", "Send it as usual")}
    ${choice("", "Do not send it")}
  </div>`,
);

const noting = `
  <dialog id="noting" class="noting" aria-labelledby="noting-title">
    <h2 id="noting-title">Private notes</h2>
    <p>Only you can read them, in the browsers of your own that you have let in. They stay in this one.</p>
    <ol id="notes" class="messages" role="log" aria-label="Your notes" tabindex="0"></ol>
    <form id="note" class="compose">
      <label class="hidden" for="note-text">A note</label>
      <textarea id="note-text" rows="1" placeholder="Write a note" autofocus></textarea>
      <button type="submit" class="secondary">Keep</button>
    </form>
    <form method="dialog" class="choices">${choice("", "Close")}</form>
  </dialog>`;

export const DIALOGS = [
  leaving, talking, timing, lateness, consenting, withdrawing, encrypting, choosing, filling, urging, noting,
].join("");
