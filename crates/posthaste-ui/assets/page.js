// Pages work without this. It opens portal links, and lets keys do what the mouse does.
"use strict";

const link = document.getElementById("portal-link");
if (link) {
  const wait = document.getElementById("portal-wait");
  try {
    const key = new URLSearchParams(location.hash.slice(1)).get("key");
    const text = atob(key.replaceAll("-", "+").replaceAll("_", "/"));
    link.elements.token.value = JSON.parse(text).token;
    history.replaceState(null, "", location.pathname + location.search);
    link.submit();
  } catch {
    wait.textContent = "This link is not whole: copy all of it, or paste its token.";
  }
}

// Whoever shows the portal in a frame may let it be as high as it is: a message that Svix's AppPortal component understands.
if (window.parent !== window) {
  const tell = () => window.parent.postMessage(
    { type: "svix.iframe-resizer-height", payload: { height: document.documentElement.scrollHeight } }, "*");
  new ResizeObserver(tell).observe(document.body);
}

// What is new waits behind its number, so that the page does not move under somebody's eyes.
const live = document.querySelector("[data-live]");
if (live) {
  new EventSource(live.dataset.live).addEventListener("new", (event) => {
    live.querySelector("span").textContent = event.data;
    live.hidden = false;
  });
}

const rows = [...document.querySelectorAll("a.row")];
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const at = rows.indexOf(document.activeElement);
  const wanted = {
    "/": document.querySelector("[data-key='/']"),
    j: rows[at + 1],
    k: rows[at < 0 ? 0 : at - 1],
  }[event.key];
  if (!wanted) return;
  event.preventDefault();
  wanted.focus();
});
