/** Two small things that whoever writes into the page needs. */

export const byId = (id) => document.getElementById(id);

/** Change a text only when it differs: screen readers read out every change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
