// Pages of messages and endpoints: what comes is counted, what runs out is counted down. They work without this.
"use strict";

// What is new waits behind its number, so that the page does not move under somebody's eyes. The list may be exchanged for
// another, with other filters: then another stream is watched.
let watched, stream;
function watch() {
  const live = document.querySelector("[data-live]");
  if (live === watched) return;
  stream?.close();
  watched = live;
  if (!live) return;
  stream = new EventSource(live.dataset.live);
  stream.addEventListener("new", (event) => {
    live.querySelector("span").textContent = event.data;
    live.hidden = false;
  });
}
watch();
document.addEventListener("htmx:afterSwap", watch);

// What runs out is counted down, in the two largest parts of what is left.
function left(secs) {
  const [days, hours, mins] = [Math.floor(secs / 86400), Math.floor(secs / 3600) % 24, Math.floor(secs / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${mins} min`;
  return mins ? `${mins} min ${secs % 60} s` : `${secs} s`;
}
const running = document.querySelectorAll("[data-until]");
if (running.length) {
  setInterval(() => {
    for (const one of running) {
      const secs = Math.round((Date.parse(one.dataset.until) - Date.now()) / 1000);
      one.textContent = secs > 0 ? left(secs) : "no time more";
    }
  }, 1000);
}
