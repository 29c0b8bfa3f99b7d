// White label, portal links, forms that come back; and that nothing anybody writes becomes markup.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { api, isFineForAll, operator, posthaste, receiver, says, visitor } from "./browser.mjs";

const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");
const THEMES = [["light", 1200], ["dark", 380]];
const plain = { name: null, logo: null, primaryColorLight: null, primaryColorDark: null, fontFamily: null };
const look = (fields) => api("PATCH", "/api/posthaste/v1/portal", { ...plain, ...fields });
const linkTo = async (app, body = {}) => (await api("POST", `/api/v1/auth/app-portal-access/${app}`, body)).url;

/** A link opened in a browser of its own. */
async function customer(link, options) {
  const page = await visitor(options);
  await page.goto(link);
  await page.waitForURL("**/portal/s/**");
  return page;
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "as it is typed" : "when asked for, without scripts";
  test(`a portal's looks are shown before they are saved, ${how}`, async () => {
    await look({});
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${posthaste.url}/ui/settings`);
    await page.getByLabel("Name").fill("Acme Books");
    await page.getByLabel("Colour on light ground").fill("ffee00");
    if (!javaScriptEnabled) await page.getByRole("button", { name: "Look first" }).click();
    const mock = page.locator("#preview svg").first();
    await mock.getByText("Acme Books").waitFor();
    await page.locator('#preview rect[fill="#ffee00"]').first().waitFor();
    assert.equal(await mock.getByText("New endpoint").getAttribute("fill"), "#000000");
    assert.equal((await api("GET", "/api/posthaste/v1/portal")).name, null, "nothing is saved yet");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.waitForURL("**/ui/settings");
    const { name, primaryColorLight } = await api("GET", "/api/posthaste/v1/portal");
    assert.deepEqual([name, primaryColorLight], ["Acme Books", "ffee00"]);
    await page.context().close();
  });
}

test("a portal wears its owner's name, picture and colours, legible in both themes, and a link may ask for others", async () => {
  await api("POST", "/api/v1/app", { name: "Worn", uid: "worn" });
  await api("POST", "/api/v1/app/worn/endpoint", { url: receiver.url });
  await look({ name: "Acme Books", logo: `data:image/png;base64,${PIXEL.toString("base64")}`, primaryColorLight: "ffee00", primaryColorDark: "0b1d5c", fontFamily: "DejaVu Serif" });
  for (const [theme, width] of THEMES) {
    const link = (await linkTo("worn")).replace("/login#", `/login?darkMode=${theme === "dark"}#`);
    const page = await customer(link, { viewport: { width, height: 800 } });
    await page.getByText("Acme Books").waitFor();
    assert.equal(await page.locator("img.icon").evaluate((image) => image.naturalWidth), 1);
    await isFineForAll(page);
    const act = await page.locator("button", { hasText: "Make it" }).evaluate((button) => getComputedStyle(button).backgroundColor);
    assert.equal(act, theme === "light" ? "rgb(255, 238, 0)" : "rgb(11, 29, 92)");
    assert.match(await page.evaluate(() => getComputedStyle(document.body).fontFamily), /DejaVu Serif/);
    await page.context().close();
  }
  const asked = await customer((await linkTo("worn")).replace("/login#", "/login?primaryColor=28bb93#"));
  assert.equal(await asked.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--act")), "#28bb93");
  await asked.context().close();
  await look({});
});

test("a picture is taken from a file, shown, and taken away again", async () => {
  await look({});
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/settings`);
  await page.getByLabel("Or a file").setInputFiles({ name: "logo.png", mimeType: "image/png", buffer: PIXEL });
  await page.waitForFunction(() => document.querySelector("[data-picture]").value.startsWith("data:image/png"));
  await page.getByRole("button", { name: "Save the picture" }).click();
  await page.getByAltText("The picture as it is now").waitFor();
  await page.getByRole("button", { name: "Save the picture" }).click();
  await page.getByAltText("The picture as it is now").waitFor({ state: "detached" });
  await page.context().close();
});

test("an operator makes a link, a customer opens it, and is out when it is ended", async () => {
  await api("POST", "/api/v1/app", { name: "Let in", uid: "let-in" });
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/apps/let-in`);
  await page.getByRole("link", { name: "Portal links" }).click();
  await page.getByLabel("For looking only").check();
  await page.getByRole("button", { name: "Make a link" }).click();
  const link = await page.locator(".secret").textContent();
  const guest = await customer(link);
  await guest.getByRole("heading", { name: "Let in" }).waitFor();
  assert.equal(await guest.getByRole("button").count(), 0);
  await page.goto(`${posthaste.url}/ui/apps/let-in/access`);
  assert.equal(await page.getByText("looks only").count(), 2, "the link and its session");
  await page.getByRole("row", { name: "link" }).getByRole("button", { name: "End" }).click();
  await page.getByText("None works now").waitFor();
  await guest.reload();
  await guest.getByText("This session is over").waitFor();
  await Promise.all([page, guest].map((each) => each.context().close()));
});

for (const javaScriptEnabled of [true, false]) {
  test(`a form that was refused is mended and sent again, ${javaScriptEnabled ? "with" : "without"} scripts`, async () => {
    const uid = `mended-${javaScriptEnabled}`;
    await api("POST", "/api/v1/app", { name: "Mended", uid });
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${posthaste.url}/ui/apps/${uid}`);
    await page.getByLabel("URL").fill("http://169.254.169.254/latest");
    await page.getByLabel("Description").fill('Said "so" <b>');
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByText("url must lead to a public address").waitFor();
    assert.equal(await page.getByLabel("Description").inputValue(), 'Said "so" <b>');
    if (javaScriptEnabled) await isFineForAll(page); // axe is a script
    await page.getByLabel("Url").fill(receiver.url);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("heading", { name: receiver.url }).waitFor();
    const [made] = (await api("GET", `/api/v1/app/${uid}/endpoint`)).data;
    assert.equal(made.description, 'Said "so" <b>');
    await page.context().close();
  });
}

test("event types that are published are read by anybody, and searched without scripts", async () => {
  const schema = { type: "object", required: ["id"], properties: { id: { type: "string" }, lines: { type: "array", items: { type: "object", properties: { sku: { type: "string" } } } } } };
  await api("POST", "/api/v1/event-type", { name: "parcel.sent", description: "A parcel left.", schemas: { 1: schema } });
  await api("POST", "/api/v1/event-type", { name: "user.gone", description: "Somebody left." });
  const { catalogueUrl } = await api("PATCH", "/api/posthaste/v1/portal", { publicCatalogue: true });
  for (const [colorScheme, width] of THEMES) {
    const page = await visitor({ colorScheme, viewport: { width, height: 800 } });
    await page.goto(`${posthaste.url}${new URL(catalogueUrl).pathname}?q=PARCEL`);
    await page.getByText("list of object").waitFor();
    await isFineForAll(page);
    await page.context().close();
  }
  const page = await visitor({ javaScriptEnabled: false });
  await page.goto(posthaste.url + new URL(catalogueUrl).pathname);
  await page.getByLabel("Search").fill("gone");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Somebody left.").waitFor();
  assert.equal(await page.getByText("parcel.sent").count(), 0);
  await page.context().close();
});

// Whatever senders, receivers, providers, customers and operators may write, in the hope that it becomes something else.
const RUN = "window.owned=1";
const CORPUS = [
  `<img src=x onerror="${RUN}">`, `<script>${RUN}</script>`, `"><svg onload=${RUN}>`, `' onmouseover='${RUN}' x='`,
  "{{ 7*7 }}{% if true %}", "${7*7}#{7*7}<%= 7*7 %>", `javascript:${RUN}`, `</textarea><script>${RUN}</script>`,
  `</title></style><script>${RUN}</script>`, `&lt;script&gt;${RUN}&lt;/script&gt;`, "\u202Egnp.exe\u202C \u200B\uFEFF", "𝕏 é ñ \u0301 😀",
  `<a href="javascript:${RUN}">x</a>`, `<iframe srcdoc="<script>parent.owned=1</script>"></iframe>`, `" hx-get="/ui/logout" hx-trigger="load" x="`,
  `" data-live="/x" autofocus onfocus="${RUN}`, '<meta http-equiv=refresh content="0;url=//evil.example">', "<base href=//evil.example>",
  '<form action="//evil.example"><button>', "<!--", "]]>", "\\u003cscript\\u003e", "%3Cscript%3E", "<math><mtext></form><form><mglyph><style></math><img src=x>",
];
const MADE_OF_TEXT = [
  "[onerror], [onload], [onfocus], [onmouseover], [onclick]", "iframe, object, embed, base, math", "meta[http-equiv]",
  "script:not([src^='/assets/'])", "[href^='javascript:' i], [src^='javascript:' i], [action^='javascript:' i]",
  "img[src='x']", "form[action^='//'], form[action^='http']", "[hx-get='/ui/logout'], [data-live='/x']", "[style], style",
];

/** No script ran, nothing came from elsewhere, and no element is there that somebody's text would have made. */
async function isText(page, foreign) {
  const found = await page.evaluate((selectors) => ({
    owned: window.owned, violated: window.violated, made: selectors.filter((one) => document.querySelector(one)),
  }), MADE_OF_TEXT);
  assert.deepEqual({ ...found, foreign }, { owned: undefined, violated: [], made: [], foreign: [] }, page.url());
}

async function watched(page) {
  const foreign = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(posthaste.url) && !request.url().startsWith("data:")) foreign.push(request.url());
  });
  page.on("dialog", (dialog) => { foreign.push(dialog.message()); dialog.dismiss(); });
  await page.addInitScript(() => {
    window.violated = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => window.violated.push(`${violatedDirective} ${blockedURI}`));
  });
  return foreign;
}

/** The corpus in parts, as long as a name may be. */
function parts(length) {
  const all = [""];
  for (const one of CORPUS) {
    if ([...all.at(-1) + one].length + 1 > length) all.push("");
    all[all.length - 1] += `${one} `;
  }
  return all.map((part) => part.trim()).filter(Boolean);
}

async function evilReceiver() {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      for (const [index, one] of CORPUS.entries()) response.setHeader(`x-evil-${index}`, one.replace(/[^\x20-\x7e]/g, "?"));
      response.writeHead(500, { "content-type": "text/html" }).end(CORPUS.join("\n"));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => { server.close(); server.closeAllConnections(); } };
}

test("nothing that anybody writes becomes markup, on any page", async (t) => {
  const evil = await evilReceiver();
  t.after(() => evil.close());
  const paths = ["/ui", "/ui/apps", "/ui/endpoints", "/ui/sources", "/ui/bins", "/ui/jobs", "/ui/simulator", "/ui/tokens", "/ui/settings"];
  const schema = { type: "object", description: CORPUS.join(" "), required: CORPUS, examples: [{ [CORPUS[1]]: CORPUS }],
    properties: Object.fromEntries(CORPUS.map((one) => [one, { type: "string", description: one, enum: CORPUS, format: one }])) };
  await api("POST", "/api/v1/event-type", { name: "evil.event", description: CORPUS.join(" "), schemas: { 1: schema } });
  const { catalogueUrl } = await look({ name: CORPUS[0], publicCatalogue: true });
  paths.push("/ui/event-types", new URL(catalogueUrl).pathname);
  const links = [];
  for (const [index, part] of parts(240).entries()) {
    const uid = `evil-${index}`;
    await api("POST", "/api/v1/app", { uid, name: part, metadata: { [CORPUS[0]]: CORPUS[1] } });
    const url = evil.url + `?q=${encodeURIComponent(part)}`;
    const endpoint = await api("POST", `/api/v1/app/${uid}/endpoint`, { url, description: CORPUS.join(" "), metadata: { x: part } });
    const payload = { [CORPUS[0]]: CORPUS, text: CORPUS.join("\n") };
    const message = await api("POST", `/api/v1/app/${uid}/msg`, { eventType: "evil.event", payload });
    const source = await api("POST", "/ingest/api/v1/source", { uid: `evil-${index}`, name: part, type: "generic-webhook" });
    const github = await api("POST", "/ingest/api/v1/source", { uid: `refusing-${index}`, name: part, type: "github", config: { secret: "hush" } });
    const headers = { "user-agent": part.replace(/[^\x20-\x7e]/g, "?"), "x-github-event": "push", "x-hub-signature-256": "sha256=00" };
    const bin = await api("POST", "/ingest/api/v1/source", { uid: `bin-${index}`, name: part, type: "bin" });
    for (const door of [source, github, bin]) {
      await fetch(`${door.ingestUrl}?q=${encodeURIComponent(part)}`, { method: "POST", headers, body: CORPUS.join("\n") });
    }
    const app = `/ui/apps/${uid}`;
    paths.push(app, `${app}/endpoints/${endpoint.id}`, `${app}/messages`, `${app}/messages/${message.id}`, `${app}/access`);
    paths.push(`${app}/messages/${message.id}/edit`, `${app}/messages/resend?which=any`, `${app}/endpoints/${endpoint.id}/recover`);
    for (const page of [`evil-${index}`, `refusing-${index}`]) paths.push(`/ui/sources/${page}`, `/ui/sources/${page}/rejected`, `/ui/sources/${page}/settings`);
    paths.push(`/ui/bins/bin-${index}`, `/ui/bins/bin-${index}/settings`);
    links.push([uid, endpoint.id, message.id]);
  }
  for (const one of CORPUS) {
    const text = encodeURIComponent(one);
    paths.push(`/ui/apps/${text}`, `/ui/apps/evil-0/messages?event_type=${text}&channel=${text}&tag=${text}`, `/ui/apps/evil-0/messages?tag=${text}`);
    paths.push(`/ui/apps/evil-0/messages?after=${text}`, `/ui/settings?name=${text}&light=${text}&font=${text}`, `/ui/settings/network?target=${text}`);
    paths.push(`/ui/api?q=${text}`, `/ui/api/${text}`, `/ui/sources/new?q=${text}`, `/ui/sources/new?type=${text}`, `/ui/simulator?provider=${text}`, `/ui/jobs/${text}`);
    paths.push(`/ui/setup?code=${text}`, `/portal/login?icon=${text}&fontFamily=${text}&primaryColor=${text}`, `${new URL(catalogueUrl).pathname}?q=${text}`);
  }
  const page = await operator();
  const foreign = await watched(page);
  await page.goto(`${posthaste.url}/ui/apps/evil-0`);
  await page.getByText(CORPUS[0]).first().waitFor();
  for (const path of paths) {
    await page.goto(posthaste.url + path);
    await isText(page, foreign);
  }
  for (const [uid, , message] of links) {
    await page.goto(`${posthaste.url}/ui/apps/${uid}/messages/${message}`);
    await says(page, "failed: all tries are used up");
    await page.locator(".tries a").first().click();
    await page.getByRole("heading", { name: "Attempt" }).waitFor();
    await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
    await isText(page, foreign);
  }
  // What is refused repeats what was typed.
  for (const one of CORPUS) {
    await page.goto(`${posthaste.url}/ui/apps/evil-0`);
    await page.getByText("New endpoint").click();
    await page.getByLabel("URL").fill(one);
    await page.getByLabel("Description").fill(CORPUS.join(" "));
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("alert").waitFor();
    await isText(page, foreign);
  }
  await page.context().close();
  for (const [uid, endpoint, message] of links) {
    const asked = CORPUS.map(encodeURIComponent).map((one) => `icon=${one}&fontFamily=${one}&primaryColor=${one}`).join("&");
    const guest = await visitor();
    const foreign = await watched(guest);
    await guest.goto((await linkTo(uid)).replace("/login#", `/login?${asked}#`));
    await guest.waitForURL("**/portal/s/**");
    const home = guest.url();
    for (const path of ["", `/endpoints/${endpoint}`, "/messages", `/messages/${message}`]) {
      await guest.goto(home + path);
      await isText(guest, foreign);
    }
    await guest.context().close();
  }
  await look({ publicCatalogue: false });
});

test("what would have become markup is seen by the judge of the test above", async () => {
  for (const one of CORPUS.filter((text) => /^<(img|iframe|meta|base|form|a|math)/.test(text) || text.startsWith('"'))) {
    const page = await operator();
    const foreign = await watched(page);
    await page.goto(`${posthaste.url}/ui/tokens`);
    await page.evaluate((html) => { document.querySelector("main").innerHTML = html.startsWith('"') ? `<input value="${html}">` : html; }, one);
    await assert.rejects(isText(page, foreign), `nobody saw ${one}`);
    await page.context().close();
  }
});

test("an operator sets a password by a link, logs in with it, and every form of it has no finding", async () => {
  for (const [theme, width] of THEMES) {
    const page = await visitor({ colorScheme: theme, viewport: { width, height: 800 } });
    await page.goto(await posthaste.run("token", "link"));
    await page.getByText("Set a password").click();
    await page.getByLabel("Password").fill("correct horse battery");
    await page.getByLabel("Once more").fill("something else");
    await isFineForAll(page);
    await page.getByRole("button", { name: "Set it and log in" }).click();
    await page.getByText("two different passwords").waitFor();
    await page.getByLabel("Password").fill("correct horse battery");
    await page.getByLabel("Once more").fill("correct horse battery");
    await page.getByRole("button", { name: "Set it and log in" }).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByText("With a password").click();
    await isFineForAll(page);
    await page.getByLabel("Password").fill("correct horse battery");
    await page.getByRole("button", { name: "Log in with it" }).click();
    await page.getByRole("link", { name: "Settings" }).waitFor();
    await page.context().close();
  }
});

test("none of these pages has a finding, in either theme, at 380 pixels and at 1200", async () => {
  await api("POST", "/api/v1/app", { name: "Seen well", uid: "seen-well" });
  await linkTo("seen-well");
  for (const [colorScheme, width] of THEMES) {
    const page = await operator({ colorScheme, viewport: { width, height: 800 } });
    for (const path of ["/ui/apps/seen-well/access", "/ui/settings", "/ui/settings?light=nothing", "/ui/settings/network", "/ui/settings/network?target=10.0.0.5", "/ui/settings/server"]) {
      await page.goto(posthaste.url + path);
      await isFineForAll(page);
    }
    await page.context().close();
  }
});
