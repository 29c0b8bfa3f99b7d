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

// What is to be copied says so: `data-copy` holds it, or names the element whose text it is.
async function copy(button) {
  const named = document.getElementById(button.dataset.copyFrom);
  const text = named ? named.textContent : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS a page may not use the clipboard, but somebody who copies may.
    const area = document.createElement("textarea");
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const said = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = said; }, 1500);
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (button) copy(button);
});

// In a row that scrolls, where one is can be seen.
document.querySelector(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Keys do what the mouse does. `data-key` names an element's own, `data-go` the second of a pair that begins with g.
const keys = document.getElementById("keys");
let going = false;
const named = (name, key) => [...document.querySelectorAll(`[${name}]`)].find((one) => one.getAttribute(name) === key);
function wanted(key) {
  if (going) return named("data-go", key);
  const rows = [...document.querySelectorAll("a.row")];
  const at = rows.indexOf(document.activeElement);
  if (key === "j") return rows[at + 1];
  if (key === "k") return rows[at < 0 ? 0 : at - 1];
  return named("data-key", key);
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const found = wanted(event.key);
  const begins = !going && event.key === "g";
  going = begins;
  if (event.key === "?" && keys) keys.showModal();
  else if (found?.matches("button, [data-go]")) found.click();
  else if (found) found.focus();
  else if (!begins) return;
  event.preventDefault();
});
