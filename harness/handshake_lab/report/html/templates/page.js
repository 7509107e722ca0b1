"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const panel = document.getElementById("panel");

// The two axes: the attributes that differ are stored in data-time and are exchanged.
function swap() {
  for (const element of all("[data-time]")) {
    const before = [];
    for (const pair of element.dataset.time.split(";")) {
      const cut = pair.indexOf(":");
      const name = pair.slice(0, cut);
      before.push(name + ":" + (element.getAttribute(name) ?? ""));
      element.setAttribute(name, pair.slice(cut + 1));
    }
    element.dataset.time = before.join(";");
  }
}
let axis = "sequence";
for (const radio of all("input[name=axis]")) {
  radio.addEventListener("change", () => {
    if (radio.checked && radio.value !== axis) {
      axis = radio.value;
      swap();
    }
  });
}

// Drawings get what their files leave out; also those that a server has sent later.
function equip(root) {
  // Thin arrows are hard to hit with the pointer: each gets a wide transparent copy beneath it.
  for (const arrow of all(".segment .arrow", root)) {
    const hit = arrow.cloneNode();
    hit.classList = "hit";
    arrow.parentNode.prepend(hit);
  }
  // Drawn elements get the role and the name of their table rows.
  for (const drawn of all("svg [data-ref]", root)) {
    drawn.setAttribute("role", "button");
    drawn.setAttribute("tabindex", "-1");
    const texts = all("text", drawn).map((text) => text.textContent).join(" ");
    const title = document.getElementById(drawn.dataset.ref)?.dataset.title ?? "#" + drawn.dataset.ref.slice(1);
    drawn.setAttribute("aria-label", [texts, title].filter(Boolean).join(", "));
  }
  // One tab stop per ladder; the arrow keys move inside it, in the order of time.
  for (const ladder of all("svg.ladder", root)) {
    const line = all("[data-at]", ladder).sort((one, other) => one.dataset.at - other.dataset.at);
    line[0]?.setAttribute("tabindex", "0");
    ladder.addEventListener("keydown", (event) => {
      const here = line.indexOf(document.activeElement);
      const to = {
        ArrowDown: here + 1,
        ArrowRight: here + 1,
        ArrowUp: here - 1,
        ArrowLeft: here - 1,
        Home: 0,
        End: line.length - 1,
      }[event.key];
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        document.activeElement.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      } else if (event.key === "Escape") {
        pinned = null;
        panel.classList.remove("open");
      } else if (to !== undefined && line[to]) {
        event.preventDefault();
        for (const stop of line) stop.setAttribute("tabindex", "-1");
        line[to].setAttribute("tabindex", "0");
        line[to].focus();
      }
    });
  }
}

// Pointing at an element of a ladder shows its table row in the panel, and marks it.
let pinned = null;
function show(reference) {
  for (const marked of all(".on")) marked.classList.remove("on");
  const row = reference && document.getElementById(reference);
  if (!row) {
    if (reference && typeof showStored === "function") showStored(reference);
    return;
  }
  row.classList.add("on");
  for (const drawn of all('[data-ref="' + reference + '"]')) drawn.classList.add("on");
  for (const other of (row.dataset.with ?? "").split(" ").filter(Boolean)) {
    for (const drawn of all('[data-ref="' + other + '"]')) drawn.classList.add("on");
  }
  const heads = all("thead th", row.closest("table"));
  describe(row.dataset.title, [...row.cells].map((cell, place) => [heads[place].textContent, cell.textContent.trim()]));
}
function describe(title, fields) {
  const list = panel.querySelector("dl");
  list.replaceChildren();
  for (const [name, text] of fields) {
    if (!text) continue;
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = name;
    value.textContent = text;
    list.append(term, value);
  }
  panel.querySelector("h2").textContent = title;
  panel.classList.add("open");
}
function target(event) {
  const found = event.target.closest?.("[data-ref],tr[id]");
  return found && (found.dataset.ref ?? (found.dataset.title ? found.id : null));
}
// On narrow screens the panel covers the ladder: there it opens on click only.
const narrow = matchMedia("(max-width:1080px)");
document.addEventListener("pointerover", (event) => {
  const reference = target(event);
  const covers = narrow.matches && !panel.classList.contains("open");
  if (reference && event.pointerType === "mouse" && !pinned && !covers) show(reference);
});
document.addEventListener("focusin", (event) => {
  const reference = event.target.dataset?.ref;
  if (reference) {
    pinned = null;
    show(reference);
  }
});
document.addEventListener("click", (event) => {
  const reference = target(event);
  if (!reference) return;
  pinned = pinned === reference ? null : reference;
  show(reference);
});
// A link to a segment shows it in the panel, and where it is drawn.
for (const link of all(".unusual a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const reference = link.getAttribute("href").slice(1);
    show((pinned = reference));
    if (typeof reveal === "function" && reveal(reference)) return;
    document.querySelector('svg [data-ref="' + reference + '"]')?.scrollIntoView({ block: "center" });
  });
}
panel?.querySelector("button").addEventListener("click", () => {
  pinned = null;
  panel.classList.remove("open");
});

equip(document);

// Filters: a connection is shown if its number and one of its hosts are selected.
const filters = all("[data-filter]");
const texts = Object.fromEntries(all("tr[data-connection]").map((row) => [row.dataset.connection, row.textContent.toLowerCase()]));
function filter() {
  const asked = Object.fromEntries(filters.map((each) => [each.dataset.filter, each.value]));
  const edges = { left: new Set(), right: new Set() };
  let shown = 0;
  for (const each of all("[data-connection]")) {
    const number = !asked.connection || each.dataset.connection === asked.connection;
    const host = !asked.host || JSON.parse(each.dataset.hosts).includes(asked.host);
    const text = !asked.text || asked.text.toLowerCase().split(/\s+/).every((word) => texts[each.dataset.connection].includes(word));
    each.hidden = !(number && host && text);
    if (each.hidden || each.tagName === "TR") continue;
    shown += 1;
    for (const side of ["left", "right"]) {
      for (const edge of JSON.parse(each.dataset.edges)[side]) edges[side].add(edge);
    }
  }
  const status = document.getElementById("shown");
  if (status) status.textContent = status.dataset.text.replace("{count}", shown);
  for (const edge of all(".diagram [data-edge]")) {
    for (const side of ["left", "right"]) {
      edge.classList.toggle("by-" + side, edges[side].has(edge.dataset.edge));
    }
  }
  const states = (side) => new Set([...edges[side]].flatMap((edge) => edge.split(">")));
  const visited = { left: states("left"), right: states("right") };
  for (const node of all(".diagram [data-state]")) {
    for (const side of ["left", "right"]) {
      node.classList.toggle("by-" + side, visited[side].has(node.dataset.state));
    }
  }
}
for (const each of filters) each.addEventListener("input", filter);

// The index: filters rows by outcome and by search text.
const search = document.getElementById("search");
const outcome = document.getElementById("outcome");
function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of all("#runs tbody tr")) {
    const text = row.textContent.toLowerCase();
    const right = !outcome.value || row.dataset.outcome === outcome.value;
    row.hidden = !(right && words.every((word) => text.includes(word)));
    shown += !row.hidden;
  }
  const status = document.getElementById("shown");
  status.textContent = status.dataset.text.replace("{count}", shown);
}
search?.addEventListener("input", find);
outcome?.addEventListener("input", find);

// When printing, open all details.
addEventListener("beforeprint", () => {
  for (const each of all("details")) each.open = true;
});
