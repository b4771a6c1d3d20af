/** The markup that the therapist's and the client's page share. What is in it is filled in by `view.js`. */

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
const SEND = icon('<path d="M4 12l16-7-5 15-3.5-6z"/>', '<path d="M11.5 14L20 5"/>');
const CLOSE = icon('<path d="M6 6l12 12M18 6L6 18"/>');

const tool = (action, content, extra = "") =>
  `<button type="button" class="tool" data-action="${action}" ${extra}>${content}</button>`;

const toggles =
  tool("microphone", `${MICROPHONE}<span class="label"></span>`) +
  tool("camera", `${CAMERA}<span class="label"></span>`);

const CHAT_TOOL = `${CHAT}<span class="label">Chat</span><span id="unread" class="unread" hidden></span>`;

const lobby = `
  <section id="lobby" class="lobby" aria-labelledby="lobby-title" hidden>
    <div class="intro">
      <h1 id="lobby-title" tabindex="-1"></h1>
      <p id="when" class="when"></p>
      <p id="before" class="before"></p>
      <button type="button" class="primary" id="join" data-action="join" disabled>Join the session</button>
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
        <button type="button" class="plain" data-action="chat" aria-label="Close the chat">${CLOSE}</button>
      </div>
      <p class="waiting" role="status"></p>
      <ol id="messages" role="log" aria-label="Messages" tabindex="0"></ol>
      <form id="compose">
        <label class="hidden" for="text">Your message</label>
        <textarea id="text" rows="1" placeholder="Write a message" enterkeyhint="send"></textarea>
        <button type="submit" class="plain send" aria-label="Send">${SEND}</button>
      </form>
    </aside>
    <div class="tools bar" role="toolbar" aria-label="Session controls">
      <span class="tools" data-media>${toggles}</span>
      ${tool("chat", CHAT_TOOL, 'aria-controls="chat"')}
      ${tool("leave", `${LEAVE}<span class="label">Leave</span>`)}
    </div>
  </section>`;

const farewell = `
  <section id="farewell" class="farewell" aria-labelledby="farewell-title" hidden>
    <h1 id="farewell-title" tabindex="-1"></h1>
    <p id="farewell-text"></p>
    <button type="button" class="secondary" id="again" data-action="again" hidden></button>
  </section>`;

const leaving = `
  <dialog id="leaving" aria-labelledby="leaving-title">
    <form method="dialog">
      <h2 id="leaving-title">Leave or end?</h2>
      <p>If you leave, the session goes on and you can come back.</p>
      <p>If you end it, it is over for both of you.</p>
      <div class="choices">
        <button class="secondary" value="stay" autofocus>Stay</button>
        <button class="secondary" value="leave">Leave</button>
        <button class="danger" value="end">End for both</button>
      </div>
    </form>
  </dialog>`;

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
  <main>${lobby}${room}${farewell}</main>
  <p id="announcer" class="hidden" aria-live="polite"></p>
  ${leaving}`;
