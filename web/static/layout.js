/**
 * The markup that the therapist's and the client's page share; the dialogs are in `dialogs.js`. What is in it
 * is filled in by `view.js` and `panels.js`.
 */

import { DIALOGS } from "./dialogs.js";

const icon = (...shapes) => `<svg viewBox="0 0 24 24" aria-hidden="true">${shapes.join("")}</svg>`;

const SLASH = '<path class="slash" d="M4 4l16 16"/>';
const MICROPHONE = icon(
  '<rect x="9" y="3" width="6" height="11" rx="3"/>',
  '<path d="M5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21"/>',
  SLASH,
);
const CAMERA = icon(
  '<rect x="3" y="6" width="12" height="12" rx="2.5"/>',
  '<path d="M15 11l6-3.5v9L15 13"/>',
  SLASH,
);
const CHAT = icon(
  '<path d="M6 5h12a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-8l-4.5 4v-4A2 2 0 0 1 4 14V7a2 2 0 0 1 2-2z"/>',
);
const LEAVE = icon('<path d="M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h11M17.5 8.5L21 12l-3.5 3.5"/>');
const TALK = icon(
  '<path d="M4 8h13M14 4.5L17.5 8L14 11.5"/>',
  '<path d="M20 16H7M10 12.5L6.5 16L10 19.5"/>',
);
const TIME = icon('<circle cx="12" cy="12" r="8.5"/>', '<path d="M12 7v5.2l3.4 2"/>');
const CONSENT = icon('<path d="M6.5 3.5h7l4 4v13h-11z"/>', '<path d="M9 13.5l2.3 2.3l4-4.5"/>');
const CLIP = icon('<path d="M19.5 11.5l-7.6 7.6a5 5 0 0 1-7.1-7.1l8-8a3.4 3.4 0 0 1 4.8 4.8l-7.8 7.8a1.7 1.7 0 0 1-2.4-2.4L14 7.6"/>');
const SHEET = icon('<rect x="5" y="4" width="14" height="17" rx="2"/>', '<path d="M9 4V2.8h6V4M9 10h6M9 14h6M9 18h3"/>');
const SEND = icon('<path d="M4 12l16-7-5 15-3.5-6z"/>', '<path d="M11.5 14L20 5"/>');
const CLOSE = icon('<path d="M6 6l12 12M18 6L6 18"/>');

const tool = (action, content, extra = "") =>
  `<button type="button" class="tool" data-action="${action}" ${extra}>${content}</button>`;

const toggles =
  tool("microphone", `${MICROPHONE}<span class="label"></span>`) +
  tool("camera", `${CAMERA}<span>Camera <span class="label"></span></span>`);

const TALK_TOOL = `${TALK}<span class="label">Switch</span>`;
const TIME_TOOL = `${TIME}<span class="label">Time</span>`;
const CONSENT_TOOL = `${CONSENT}<span class="label">Consent</span>`;
const CHAT_TOOL = `${CHAT}<span class="label">Chat</span><span id="unread" class="unread" hidden></span>`;

const lobby = `
  <section id="lobby" class="lobby" aria-labelledby="lobby-title" hidden>
    <div class="intro">
      <h1 id="lobby-title" tabindex="-1"></h1>
      <p id="when" class="when"></p>
      <p id="before" class="before"></p>
      <p id="late" class="before" role="status"></p>
      <div class="choices">
        <button type="button" class="primary" id="join" data-action="join" disabled></button>
        <button type="button" class="secondary" id="say-late" data-action="late" hidden>
          I am running late
        </button>
        <button type="button" class="secondary" data-action="consents" hidden>What I agree to</button>
        <button type="button" class="secondary" id="give-up" data-action="give-up" hidden>
          Leave the waiting room
        </button>
      </div>
      <p class="privacy">Nothing is recorded. Sound and picture are encrypted on their way.</p>
    </div>
    <div class="check" data-media>
      <figure class="preview">
        <video class="self" muted autoplay playsinline aria-label="Your own picture"></video>
        <figcaption class="veil" data-veil="self"></figcaption>
      </figure>
      <div class="meter" aria-hidden="true"><span id="level"></span></div>
      <div class="tools" role="group" aria-label="Your microphone and camera">${toggles}</div>
    </div>
  </section>`;

const consent = `
  <section id="consent" class="farewell" aria-labelledby="consent-title" hidden>
    <h1 id="consent-title" tabindex="-1">Before you come in</h1>
    <p>This session asks for your agreement. What you choose is kept with its date. Until the session is over
      you can change your mind on this page.</p>
    <form id="consents" class="consents">
      <ul id="consent-list"></ul>
      <div class="choices">
        <button type="submit" class="primary">Agree and come in</button>
        <button type="button" class="secondary" data-action="decline-consents">I do not agree</button>
      </div>
    </form>
  </section>`;

const room = `
  <section id="room" class="room" aria-label="Session" hidden>
    <h1 id="room-title" class="hidden" tabindex="-1">In the session</h1>
    <div class="stage" data-media>
      <div id="people" class="people"></div>
      <p class="waiting" role="status"></p>
      <figure class="own">
        <video class="self" muted autoplay playsinline aria-label="Your own picture"></video>
        <figcaption class="veil" data-veil="self"></figcaption>
      </figure>
    </div>
    <aside id="chat" class="chat" aria-labelledby="chat-title">
      <div class="chat-head">
        <h2 id="chat-title">Chat</h2>
        <button type="button" class="secondary" id="open-notes" data-action="notes">Private notes</button>
        <button type="button" class="plain" data-action="chat" aria-label="Close the chat">${CLOSE}</button>
      </div>
      <p class="waiting" role="status"></p>
      <p class="sealing"><span id="sealing" role="status"></span>
        <button type="button" class="plain" data-action="encryption">About the encryption</button></p>
      <ol id="messages" class="messages" role="log" aria-label="Messages" tabindex="0"></ol>
      <form id="compose" class="compose">
        <input type="file" id="file" multiple hidden>
        <button type="button" class="plain" data-action="attach" aria-label="Send files">${CLIP}</button>
        <button type="button" class="plain" data-action="forms" aria-label="Questionnaires">${SHEET}</button>
        <label class="hidden" for="text">Your message</label>
        <textarea id="text" rows="1" placeholder="Write a message" enterkeyhint="send"></textarea>
        <button type="submit" class="plain send" aria-label="Send">${SEND}</button>
      </form>
    </aside>
    <div class="tools bar" role="toolbar" aria-label="Session controls">
      <span class="tools" data-media>${toggles}</span>
      ${tool("chat", CHAT_TOOL, 'aria-controls="chat"')}
      ${tool("talk", TALK_TOOL, 'aria-label="Switch between video, sound and writing"')}
      ${tool("time", TIME_TOOL, 'id="time" aria-label="Time and people"')}
      ${tool("consents", CONSENT_TOOL, 'aria-label="What you agree to" hidden')}
      ${tool("leave", `${LEAVE}<span class="label">Leave</span>`)}
    </div>
  </section>`;

const SCORES = ["Very bad", "Bad", "Fair", "Good", "Very good"]
  .map((name, i) => `<label><input type="radio" name="score" value="${i + 1}" required>${name}</label>`)
  .join("");

const farewell = `
  <section id="farewell" class="farewell" aria-labelledby="farewell-title" hidden>
    <h1 id="farewell-title" tabindex="-1"></h1>
    <p id="farewell-text"></p>
    <button type="button" class="secondary" id="again" data-action="again" hidden></button>
    <form id="rating" class="rating" hidden>
      <fieldset>
        <legend>How was this session for you?</legend>
        <div class="scores">${SCORES}</div>
      </fieldset>
      <label class="tick"><input type="checkbox" name="technical">There was a technical problem</label>
      <p class="privacy">Your answer goes to the people who run this service. Nobody in the session is told.</p>
      <button type="submit" class="primary">Send</button>
    </form>
    <p id="rated" role="status" hidden></p>
  </section>`;

export const LAYOUT = `
  <header class="top">
    <p class="brand">
      ${icon('<circle cx="9" cy="12" r="6"/>', '<circle cx="15" cy="12" r="6"/>')}
      Rapport
    </p>
    <p id="connection" class="connection" role="status"></p>
    <p id="clock" class="clock" role="timer"></p>
  </header>
  <div id="notice" class="notice" role="alert" hidden>
    <p id="notice-text"></p>
    <button type="button" class="secondary" id="remedy" data-action="remedy" hidden></button>
  </div>
  <div id="offer" class="panel" role="region" aria-label="Proposal" hidden>
    <p id="offer-text" role="status"></p>
    <div class="choices">
      <button type="button" class="primary" id="accept" data-action="accept"></button>
      <button type="button" class="secondary" id="decline" data-action="decline"></button>
    </div>
  </div>
  <div id="question" class="panel" role="region" aria-label="Encryption" hidden>
    <p id="question-text" role="status"></p>
    <div class="choices">
      <button type="button" class="primary" id="key-accept" data-action="key-accept"></button>
      <button type="button" class="secondary" id="key-decline" data-action="key-decline"></button>
    </div>
  </div>
  <div id="knock" class="panel" role="region" aria-label="Waiting room" hidden>
    <ul id="waiters"></ul>
    <button type="button" class="primary" id="admit-all" data-action="admit-all" hidden>
      Let everyone in
    </button>
  </div>
  <main>${lobby}${consent}${room}${farewell}<p id="news" class="news" role="status"></p></main>
  <p id="announcer" class="hidden" aria-live="polite"></p>
  ${DIALOGS}`;
