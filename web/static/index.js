/** The first page of a development server: it makes a test session and shows its two links. */

const start = document.getElementById("start");
const links = document.getElementById("links");
const problem = document.getElementById("problem");

start.addEventListener("click", async () => {
  start.disabled = true;
  problem.hidden = true;
  try {
    show(await makeSession());
  } catch (error) {
    problem.textContent = `The test session could not be made: ${error.message}`;
    problem.hidden = false;
  }
  start.disabled = false;
});

start.disabled = false; // in the page's own text it is, so that no press is lost on the way here

/** `{therapist, client}`: the addresses of the two pages. */
async function makeSession() {
  const response = await fetch("/dev/session", { method: "POST" });
  if (!response.ok) throw new Error(`the server answered ${response.status}.`);
  return response.json();
}

function show({ therapist, client }) {
  document.getElementById("therapist").href = therapist;
  document.getElementById("client").href = client;
  links.hidden = false;
  document.getElementById("therapist").focus();
}
