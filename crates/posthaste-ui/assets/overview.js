// What refreshes itself does so only while it is looked at, and not under somebody's hands.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target.closest("[data-poll]");
  if (part !== event.target) return;
  const isInUse = part.contains(document.activeElement) || part.querySelector("details[open], svg:hover, form:hover");
  if (document.hidden || isInUse) event.preventDefault();
});
