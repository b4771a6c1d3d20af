/**
 * What a person's link carries: `#token=…&session=…`, in the fragment, which browsers never send to a server.
 *
 * It is taken out of the address at once, so that it does not stay in the history or on a shared screen, and
 * kept for as long as the tab lives, so that a reload still works.
 */

const KEY = "rapport.link";

/** `{token, session}` of this tab, or null when it was opened without a complete link. */
export function readLink() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token") && given.has("session")) {
    const link = { token: given.get("token"), session: given.get("session") };
    sessionStorage.setItem(KEY, JSON.stringify(link));
    history.replaceState(null, "", location.pathname + location.search);
    return link;
  }
  return JSON.parse(sessionStorage.getItem(KEY));
}

/** The id of this installation, the same at every visit with this browser. */
export function deviceId() {
  const known = localStorage.getItem("rapport.device");
  if (known) return known;
  const made = `web-${crypto.randomUUID()}`;
  localStorage.setItem("rapport.device", made);
  return made;
}
