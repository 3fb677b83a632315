// The page is made by the server. This keeps it fresh: it is fetched again when the event stream tells of something new,
// and every few seconds in any case, for a silence is news too. Only the parts that differ are swapped.
"use strict";

const EVERY = 5000, AT_MOST = 1500; // milliseconds
let fetched = 0, planned = null, link = null;

async function refresh() {
  planned = null;
  fetched = Date.now();
  try {
    const answer = await fetch("./", { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    const shown = document.getElementById("link");
    link = link || shown.textContent;
    shown.textContent = `no connection to the sidecar; this is ${link}`;
    shown.classList.add("broken");
  }
}

function swap(fresh) {
  link = null;
  document.title = fresh.title;
  for (const selector of [".kicker", "h1"]) replace(document.querySelector(selector), fresh.querySelector(selector));
  const main = document.querySelector("main");
  const sections = [...fresh.querySelectorAll("main > section")];
  const now = [...main.children].map((one) => one.id).join(), next = sections.map((one) => one.id).join();
  if (now !== next) main.replaceChildren(...sections);
  else sections.forEach((section, k) => replace(main.children[k], section));
}

function replace(shown, fresh) {
  if (shown.outerHTML === fresh.outerHTML) return;
  const scrolled = [...shown.querySelectorAll(".wide")].map((one) => one.scrollLeft);
  shown.replaceWith(fresh);
  fresh.querySelectorAll(".wide").forEach((one, k) => { one.scrollLeft = scrolled[k] || 0; });
}

function plan() {
  if (planned === null) planned = setTimeout(refresh, Math.max(0, fetched + AT_MOST - Date.now()));
}

function listen() {
  const events = new EventSource("v1/events");
  for (const kind of document.body.dataset.kinds.split(" ")) events.addEventListener(kind, plan);
  events.onerror = plan;
}

listen();
setInterval(plan, EVERY);
