"use strict";
// What only the pages of the server do; the rest is in page.js.
const { root, watched, state, live } = document.body.dataset;
const problem = document.getElementById("problem");

// Report what has changed: the run or session that a page shows, or for the index anything.
function watch(changed) {
  const status = document.getElementById("live");
  const address = root + "/events?" + new URLSearchParams({ name: watched, state });
  let source = null;
  const listen = () => {
    source = new EventSource(address);
    source.addEventListener("open", () => {
      status.textContent = "";
    });
    source.addEventListener("message", (event) => {
      if (!watched || JSON.parse(event.data).includes(watched)) changed();
    });
    source.addEventListener("error", () => {
      status.textContent = status.dataset.lost;
    });
  };
  // A browser has few connections to one server: a page that cannot be seen does not keep one.
  const attend = () => {
    if (!document.hidden && source === null) {
      listen();
    } else if (document.hidden && source !== null) {
      source.close();
      source = null;
    }
  };
  document.addEventListener("visibilitychange", attend);
  attend();
}

// Ask the server to do something; null if it was refused, which is shown.
let waiting = 0;
async function ask(address, body, where = problem) {
  waiting += 1;
  document.body.classList.add("busy");
  const late = setTimeout(() => report(where, where.dataset.busy), 300);
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const found = await answer.json();
    clearTimeout(late);
    report(where, found.error ?? "");
    return found;
  } catch {
    clearTimeout(late);
    report(where, document.getElementById("live").dataset.lost);
    return null;
  } finally {
    waiting -= 1;
    document.body.classList.toggle("busy", waiting > 0);
  }
}
function report(where, text) {
  where.textContent = text;
  where.hidden = !text;
}
function put(place, html) {
  // The server's own markup; the policy of the page lets no script in it run.
  place.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  place.hidden = false;
  equip(place);
}

// The segment that the panel shows, and its fates.
let chosen = 0;
function choose(reference) {
  chosen = /^p[0-9]+$/.test(reference ?? "") ? Number(reference.slice(1)) : 0;
  for (const each of all(".fates")) each.hidden = !chosen;
}
for (const kind of ["click", "focusin", "pointerover"]) {
  document.addEventListener(kind, (event) => {
    const reference = target(event);
    if (reference && (kind !== "pointerover" || !pinned)) choose(reference);
  });
}

// A session of the shell.
let shown = state;
async function show_session(found) {
  if (!found) return;
  if (found.ended) {
    location.href = root + "/" + document.documentElement.lang + "/";
    return;
  }
  const log = document.getElementById("log");
  if (found.lines) {
    // The last line is where the session is, which the page shows in its own words.
    log.textContent = found.lines.filter((line) => !/^\[[0-9.]+ s\] /.test(line)).join("\n");
    log.hidden = !log.textContent;
  }
  if (found.view === undefined) return;
  shown = found.state;
  pinned = null;
  const view = document.getElementById("view");
  const inside = view.contains(document.activeElement);
  put(view, found.view);
  // What had the focus is gone: the next Tab goes on from here, not from the beginning of the page.
  if (inside) view.focus({ preventScroll: true });
  if (chosen) show("p" + chosen);
}
let turn = Promise.resolve();
function send(body) {
  // One after the other, in the order in which they were asked for.
  turn = turn.then(async () => show_session(await ask(location.pathname, body)));
  return turn;
}
async function refresh() {
  await turn;
  const answer = await fetch(location.pathname + "/view");
  const found = await answer.json();
  if (found.state !== shown) show_session(found);
}
function value(name) {
  return document.getElementById(name).value.trim();
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.command) {
    const { command, value: name } = button.dataset;
    send({ command: name ? command + " " + value(name) : command });
  } else if (button?.dataset.fate && live) {
    send({ number: chosen, fate: button.dataset.fate });
  } else if (button?.dataset.fate) {
    const place = document.getElementById("future");
    const found = await ask(location.pathname, { number: chosen, fate: button.dataset.fate }, place);
    if (!found?.view) return;
    put(place, found.view);
    place.scrollIntoView({ block: "start" });
  }
});
for (const form of all("form[data-fill]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    send({ command: form.dataset.fill.replace(/\{([a-z]+)\}/g, (_, name) => fields[name].trim()) });
  });
}
document.getElementById("start")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { topology, links, seed } = Object.fromEntries(new FormData(event.target));
  const found = await ask(location.pathname + "sessions", { topology, links, seed: Number(seed) });
  if (found?.address) location.href = found.address;
});

document.getElementById("start-unit")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const found = await ask(location.pathname + "units", Object.fromEntries(new FormData(event.target)));
  if (found?.address) location.href = found.address;
});

// A course unit: whatever is asked for, the answers that were typed are kept.
async function act(action, question) {
  const answers = Object.fromEntries(all("[data-answer]").map((each) => [each.dataset.answer, each.value]));
  const found = await ask(location.pathname, { action, question, answers });
  if (!found?.view) return;
  const view = document.getElementById("view");
  const open = new Set(all("details[open] summary", view).map((each) => each.textContent));
  put(view, found.view);
  for (const each of all("details", view)) each.open = open.has(each.querySelector("summary").textContent);
  report(document.getElementById("log"), found.said);
  const again = all("[data-action]", view).find(
    (each) => each.dataset.action === action && (each.dataset.question ?? "") === question,
  );
  (again ?? view).focus({ preventScroll: Boolean(again) });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-action]");
  if (button) act(button.dataset.action, button.dataset.question ?? "");
});

// The index keeps what is being typed in its forms.
async function relist() {
  const answer = await fetch(location.pathname);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["counts", "session-list", "unit-list", "none", "runs"]) {
    const found = fresh.getElementById(id);
    if (found) document.getElementById(id)?.replaceWith(found);
  }
  find();
}

if (watched !== undefined) watch(live ? refresh : watched ? () => location.reload() : relist);
