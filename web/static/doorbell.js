/**
 * The service worker of a browser that is rung by its push service while the page is away. A push has nothing in
 * it, so this says in words of its own that something waits, and on a click brings the page to the front.
 *
 * Its address may end with `?opens=` and where a page is to be opened if there is none, and `&title=`.
 */

const TAG = "doorbell"; // rung twice, it is one notice

const options = new URL(self.location.href).searchParams;

self.addEventListener("push", (event) => {
  const title = options.get("title") ?? "Something is waiting for you";
  event.waitUntil(self.registration.showNotification(title, { tag: TAG, renotify: true }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(bringToTheFront());
});

async function bringToTheFront() {
  const [page] = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (page !== undefined) return page.focus();
  return self.clients.openWindow(options.get("opens") ?? self.registration.scope);
}
