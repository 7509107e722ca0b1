"use strict";
// What only the pages of the server do; the rest is in page.js.
const { root, watched, state } = document.body.dataset;

// Reload a page when what it shows has changed: its run, or for the index any run.
function watch() {
  const status = document.getElementById("live");
  const address = root + "/events?" + new URLSearchParams({ name: watched, state });
  let source = null;
  const listen = () => {
    source = new EventSource(address);
    source.addEventListener("open", () => {
      status.textContent = "";
    });
    source.addEventListener("message", (event) => {
      if (!watched || JSON.parse(event.data).includes(watched)) location.reload();
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
if (watched !== undefined) watch();
