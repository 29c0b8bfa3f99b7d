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
