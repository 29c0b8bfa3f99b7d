// The pages, as people use them: in a real browser, and judged by axe.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { MARKUP, api, browser, isFineForAll, operator, posthaste, receiver, says, visitor } from "./browser.mjs";
import { load } from "./support.mjs";

const esbuild = load("esbuild");

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with scripts" : "without scripts";
  test(`an operator makes an endpoint, sends, watches it arrive, sends again and rotates, ${how}`, async () => {
    const name = `Customer ${MARKUP} ${how}`;
    const app = await api("POST", "/api/v1/app", { name });
    const page = await operator({ javaScriptEnabled });
    await page.getByRole("link", { name }).click();
    await page.getByLabel("URL").fill(receiver.url);
    await page.getByLabel("Event types").fill("order.paid, order.shipped");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("heading", { name: receiver.url }).waitFor();
    const endpoint = page.url();

    await page.getByRole("link", { name }).click();
    await page.getByText("Send a message").click();
    await page.getByLabel("Event type").last().fill("order.paid");
    await page.getByLabel("Payload").fill(JSON.stringify({ note: MARKUP }));
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await says(page, "delivered");
    assert.ok(await page.getByText(MARKUP).count(), "the payload is shown as it is");
    await page.getByRole("button", { name: "Send again" }).click();
    await says(page, "by hand");
    await page.locator(".tries a").first().click();
    await page.getByRole("heading", { name: "Attempt" }).waitFor();

    await page.goto(endpoint);
    await page.getByText("Secret", { exact: true }).click();
    await page.getByRole("button", { name: "Show it" }).click();
    const first = await page.locator(".secret").textContent();
    assert.equal(first, (await api("GET", `/api/v1/app/${app.id}/endpoint/${endpoint.split("/").at(-1)}/secret`)).key);
    await page.getByRole("button", { name: "Rotate" }).click();
    await page.getByText("Secret", { exact: true }).click();
    await page.getByText("An older one signs along").waitFor();
    assert.doesNotMatch(await page.title(), /owned/);
    await page.context().close();
  });
}

test("new messages are counted as they come, after a break too, and shown when asked for", async () => {
  await api("POST", "/api/v1/app", { name: "Live", uid: "live" });
  const send = (eventType) => api("POST", "/api/v1/app/live/msg", { eventType, payload: {} });
  await send("order.first");
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/apps/live/messages?event_type=order.paid`);
  await page.getByText("No message matches").waitFor();
  await send("order.paid");
  await send("order.other");
  await page.getByText("1 new: show").waitFor();
  await page.context().setOffline(true);
  await send("order.paid");
  await page.context().setOffline(false);
  await page.getByText("2 new: show").waitFor();
  await page.getByText("2 new: show").click();
  assert.equal(await page.locator("tbody tr").count(), 2);
  await page.context().close();
});

test("a token that is revoked on its page is over at once", async () => {
  await api("POST", "/api/v1/app", { name: "Revoked", uid: "revoked" });
  const { token } = await api("POST", "/api/v1/auth/app-portal-access/revoked", {});
  const asks = async () => (await fetch(`${posthaste.url}/api/v1/app/revoked/endpoint`, { headers: { authorization: `Bearer ${token}` } })).status;
  assert.equal(await asks(), 200);
  const page = await operator();
  await page.getByRole("link", { name: "Tokens" }).click();
  await page.getByRole("button", { name: `Revoke ${token.slice(0, 12)}` }).click();
  await page.getByText("revoked").first().waitFor();
  assert.equal(await asks(), 401);
  await page.context().close();
});

test("what is refused says why, in a sentence, and changes nothing", async () => {
  await api("POST", "/api/v1/app", { name: "Refusing", uid: "refusing" });
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/apps/refusing`);
  await page.getByLabel("URL").fill("http://169.254.169.254/latest/meta-data");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByText("That cannot be done").waitFor();
  assert.match(await page.locator("main").textContent(), /\nurl must lead to a public address/);
  assert.deepEqual((await api("GET", "/api/v1/app/refusing/endpoint")).data, []);
  await page.context().close();
});

test("a link that logs in does so once", async () => {
  const link = await posthaste.run("token", "link");
  const page = await visitor();
  await (await visitor()).goto(link); // a preview uses nothing up
  await page.goto(link);
  await isFineForAll(page);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL("**/ui");
  const again = await visitor();
  await again.goto(link);
  await again.getByRole("button", { name: "Log in" }).click();
  await again.getByText("This session is over").waitFor();
  await Promise.all([page, again].map((each) => each.context().close()));
});

test("a wrong token does not log in, and a session that was ended is over", async () => {
  const page = await visitor();
  await page.goto(posthaste.url);
  await page.getByLabel("Token").fill("phk_wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("unknown, expired or revoked").waitFor();
  await page.goto(`${posthaste.url}/ui/login?next=//evil.example`);
  await page.getByLabel("Token").fill(posthaste.token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(`${posthaste.url}/ui`);
  await page.context().close();

  const known = await operator();
  const [{ value }] = await known.context().cookies();
  await known.getByRole("button", { name: "Log out" }).click();
  await known.waitForURL("**/ui/login");
  const again = await fetch(`${posthaste.url}/ui/apps`, { headers: { cookie: `posthaste_session=${value}` }, redirect: "manual" });
  assert.equal(again.headers.get("location"), "/ui/login");
  await known.context().close();
});

test("a form of another site changes nothing", async () => {
  const page = await operator();
  const [{ value }] = await page.context().cookies();
  await api("POST", "/api/v1/app", { name: "Abused", uid: "abused" });
  const answer = await fetch(`${posthaste.url}/ui/apps/abused/endpoints`, {
    method: "POST",
    headers: { cookie: `posthaste_session=${value}`, origin: "https://evil.example", "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ url: receiver.url, description: "", event_types: "", rate: "" }),
  });
  assert.equal(answer.status, 403);
  assert.deepEqual((await api("GET", "/api/v1/app/abused/endpoint")).data, []);
  await page.context().close();
});

test("a customer sees their own application by a portal link, in a frame too, and nothing else", async () => {
  await api("POST", "/api/v1/app", { name: "Own", uid: "own" });
  await api("POST", "/api/v1/app", { name: "Foreign", uid: "foreign" });
  const foreign = await api("POST", "/api/v1/app/foreign/msg", { eventType: "a.b", payload: {} });
  const { url } = await api("POST", "/api/v1/auth/app-portal-access/own", {});
  const page = await visitor();
  await page.goto(url);
  await page.waitForURL("**/portal/s/**");
  await page.getByRole("heading", { name: "Own" }).waitFor();
  await isFineForAll(page);
  await page.getByLabel("URL").fill(receiver.url);
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByRole("heading", { name: receiver.url }).waitFor();
  const session = page.url().match(/\/portal\/s\/[^/]+\/[^/]+/)[0];
  for (const path of ["/apps/foreign", `/apps/foreign/messages/${foreign.id}`, `/apps/own/messages/${foreign.id}`]) {
    const answer = await fetch(posthaste.url + session + path);
    assert.equal(answer.status, 404, path);
  }
  for (const path of ["/ui/apps", "/ui/sources", "/ui/tokens"]) {
    const cookie = `posthaste_session=${session.split("/").at(-2)}`;
    assert.equal((await fetch(posthaste.url + path, { headers: { cookie } })).status, 404, path);
  }
  const { headers } = await fetch(posthaste.url + session + "/apps/own");
  assert.match(headers.get("content-security-policy"), /frame-ancestors 'self'$/);
  assert.equal(headers.get("referrer-policy"), "no-referrer");

  // A page of the same origin shows it in a frame; no cookie is needed for that.
  const framed = await visitor();
  await framed.route("**/shop", (route) => route.fulfill({ contentType: "text/html", body: `<iframe src="${url}"></iframe>` }));
  await framed.goto(`${posthaste.url}/shop`);
  await framed.frameLocator("iframe").getByRole("heading", { name: "Own" }).waitFor();
  assert.deepEqual(await framed.context().cookies(), []);
  await Promise.all([page, framed].map((each) => each.context().close()));
});

test("Svix's own AppPortal component shows it, as dark, as coloured and as high as it was asked to", async () => {
  await api("POST", "/api/v1/app", { name: "Embedded", uid: "embedded" });
  const { url } = await api("POST", "/api/v1/auth/app-portal-access/embedded", {});
  const source = `
    import { createElement } from "react";
    import { createRoot } from "react-dom/client";
    import { AppPortal } from "svix-react";
    const props = { url: ${JSON.stringify(url)}, darkMode: true, primaryColor: "28bb93", fullSize: true };
    createRoot(document.getElementById("root")).render(createElement(AppPortal, props));`;
  const resolveDir = process.env.NODE_ENV_DIR;
  const bundle = await esbuild.build({ stdin: { contents: source, resolveDir }, bundle: true, write: false, define: { "process.env.NODE_ENV": '"production"' } });
  const page = await visitor();
  await page.route("**/dashboard", (route) => route.fulfill({ contentType: "text/html", body: '<div id="root"></div><script src="/dashboard.js"></script>' }));
  await page.route("**/dashboard.js", (route) => route.fulfill({ contentType: "text/javascript", body: bundle.outputFiles[0].text }));
  await page.goto(`${posthaste.url}/dashboard`);
  const frame = page.frameLocator("iframe");
  await frame.getByRole("heading", { name: "Embedded" }).waitFor();
  const html = frame.locator("html");
  assert.equal(await html.getAttribute("data-theme"), "dark");
  assert.equal(await html.evaluate((root) => getComputedStyle(root).getPropertyValue("--act")), "#28bb93");
  const told = await html.evaluate((root) => root.scrollHeight);
  await page.waitForFunction((height) => document.querySelector("iframe").style.height === `${height}px`, told);
  await page.context().close();
});

test("a link for looking only shows no button that would change something", async () => {
  await api("POST", "/api/v1/app", { name: "Looked at", uid: "looked-at" });
  await api("POST", "/api/v1/app/looked-at/endpoint", { url: receiver.url });
  const { url } = await api("POST", "/api/v1/auth/app-portal-access/looked-at", { readOnly: true });
  const page = await visitor();
  await page.goto(url);
  await page.getByRole("link", { name: receiver.url }).click();
  await page.getByRole("heading", { name: "Attempts" }).waitFor();
  assert.equal(await page.getByRole("button").count(), 0);
  const session = page.url().match(/\/portal\/s\/[^/]+\/[^/]+/)[0];
  const answer = await fetch(`${posthaste.url}${session}/apps/looked-at/endpoints`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ url: receiver.url, description: "", event_types: "", rate: "" }),
  });
  assert.equal(answer.status, 403);
  await page.context().close();
});

test("a source shows what it refused, and why", async () => {
  const source = await api("POST", "/ingest/api/v1/source", { name: "Code", type: "github", uid: "code", config: { secret: "hush" } });
  const body = "{}";
  const sign = (secret) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  const post = (secret) => fetch(source.ingestUrl, {
    method: "POST", body, headers: { "x-hub-signature-256": sign(secret), "x-github-event": "push", "x-github-delivery": "1" },
  });
  assert.equal((await post("hush")).status, 200);
  assert.equal((await post("wrong")).status, 401);
  const page = await operator();
  await page.getByRole("link", { name: "Sources" }).click();
  await page.getByRole("link", { name: "Code" }).click();
  await says(page, "x-hub-signature-256 does not match");
  await page.getByRole("link", { name: /push/ }).first().waitFor();
  await page.context().close();
});

test("the keys go to rows and pages, open what there is to know of them, and leave those alone who type", async () => {
  await api("POST", "/api/v1/app", { name: "Keyed", uid: "keyed" });
  for (const n of [1, 2]) await api("POST", "/api/v1/app/keyed/msg", { eventType: `order.n${n}`, payload: {} });
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/apps/keyed/messages`);
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("j");
  assert.equal(await focused(), "order.n2");
  await page.keyboard.press("j");
  assert.equal(await focused(), "order.n1");
  await page.keyboard.press("k");
  assert.equal(await focused(), "order.n2");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await isFineForAll(page);
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.type("j?ga");
  assert.equal(await page.getByLabel("Id").inputValue(), "j?ga");
  assert.equal(await page.getByRole("dialog").count(), 0);
  await page.getByRole("heading", { name: "Messages" }).click();
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.getByRole("heading", { name: "Applications" }).waitFor();
  await page.context().close();
});
