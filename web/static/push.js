/** Being rung by the browser's push service while no page is there; `doorbell.js` says what a person then sees. */

/**
 * Have the server ring this browser, as often as the app starts. `request(op, fields)` is that of a Connection,
 * `worker` the address of the service worker. Rejects with a DOMException where the person does not allow
 * notifications or the browser has no push service.
 */
export async function subscribe(request, worker) {
  await navigator.serviceWorker.register(worker);
  const { pushManager } = await navigator.serviceWorker.ready;
  const { key } = await request("push.get");
  const before = await pushManager.getSubscription();
  // The server's key may be another one than then: the browser keeps only one at a time.
  if (before !== null && keyOf(before) !== key) await before.unsubscribe();
  const { endpoint } = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await request("push.set", { endpoint });
}

/** Not any more. */
export async function unsubscribe(request) {
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  await subscription?.unsubscribe();
  await request("push.clear");
}

/** The server's key of a subscription as `push.get` gives it, in base64url. */
function keyOf({ options }) {
  const bytes = new Uint8Array(options.applicationServerKey);
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
