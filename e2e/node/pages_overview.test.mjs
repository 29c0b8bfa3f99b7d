// The overview and the charts, as people use them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MARKUP, api, isFineForAll, operator, posthaste, receiver, says, visitor } from "./browser.mjs";
import { startReceiver } from "./support.mjs";

const overview = async (options) => {
  const page = await operator(options);
  await page.goto(`${posthaste.url}/ui`);
  return page;
};

/** A number of the page, by its name. */
const figure = (page, name) => page.locator(".figures div", { hasText: name }).locator("dd").first().innerText();

/** The rows of the table beside the charts, without where they begin. */
async function table(page) {
  await page.getByText("Show as table").click();
  return page.locator(".numbers tbody tr td").allInnerTexts();
}

test("a fresh server says what to do, and becomes the overview by itself", async () => {
  const still = await overview({ javaScriptEnabled: false });
  await still.getByRole("heading", { name: "Nothing has come yet" }).waitFor();
  await still.getByRole("button", { name: "Make the first application" }).click();
  await still.getByLabel("URL").waitFor();
  await still.goto(`${posthaste.url}/ui`);
  await still.getByRole("button", { name: "Make a bin" }).click();
  const curl = await still.getByText("curl -d").innerText();
  await still.getByText("/api/v1/app/first/msg").waitFor();
  await isFineForAll(await overview({ colorScheme: "dark", viewport: { width: 380, height: 800 } }));

  const page = await overview();
  await isFineForAll(page);
  const [, body, url] = /-d '(.*)' (.*)$/.exec(curl);
  assert.equal((await fetch(url, { method: "POST", body })).status, 200);
  await page.getByRole("heading", { name: "Needs you" }).waitFor();
  assert.equal(await figure(page, "Accepted"), "1");
  await still.getByRole("link", { name: "Look again" }).click();
  assert.equal(await figure(still, "Accepted"), "1");
  await Promise.all([page, still].map((each) => each.context().close()));
});

test("an application's numbers are those of what was sent to it, for its customer too", async (t) => {
  const refusing = await startReceiver();
  t.after(() => refusing.close());
  refusing.answersWith(...Array(50).fill(500));
  await api("POST", "/api/v1/app", { name: `Counted ${MARKUP}`, uid: "counted" });
  await api("POST", "/api/v1/app", { name: "Other", uid: "other" });
  const well = await api("POST", "/api/v1/app/counted/endpoint", { url: receiver.url });
  await api("POST", "/api/v1/app/counted/endpoint", { url: refusing.url });
  for (let n = 0; n < 5; n++) await api("POST", "/api/v1/app/counted/msg", { eventType: "a.b", payload: { n } });
  await refusing.got(15);

  const page = await operator();
  await page.goto(`${posthaste.url}/ui/apps/counted`);
  await says(page, "15 failed");
  await page.getByRole("img", { name: "Attempts: 5 succeeded, 15 failed" }).waitFor();
  assert.deepEqual(await Promise.all(["Accepted", "Delivered", "Failed", "Success"].map((name) => figure(page, name))), ["5", "5", "15", "25.0 %"]);
  assert.deepEqual((await table(page)).slice(0, 3), ["5", "5", "15"]);
  assert.equal(await page.getByRole("img", { name: "By the hour: 0 succeeded, 15 failed" }).count(), 1);
  await page.goto(`${posthaste.url}/ui/apps/counted/endpoints/${well.id}?status=failed`);
  await page.getByRole("link", { name: "7d" }).click();
  await page.waitForURL("**?period=7d&status=failed");
  assert.equal(await figure(page, "Success"), "100 %");
  await page.goto(`${posthaste.url}/ui/apps`);
  assert.match(await page.getByRole("row", { name: "Counted" }).innerText(), /1 failing\s+5\s/);

  for (const readOnly of [false, true]) {
    const { url } = await api("POST", "/api/v1/auth/app-portal-access/counted", { readOnly });
    const customer = await visitor();
    await customer.goto(url);
    await customer.waitForURL("**/portal/s/**");
    assert.equal(await figure(customer, "Accepted"), "5");
    await customer.getByRole("link", { name: "1h" }).click();
    await customer.getByRole("img", { name: /5 succeeded, 15 failed/ }).waitFor();
    await customer.context().close();
  }
  const { url } = await api("POST", "/api/v1/auth/app-portal-access/other", {});
  const other = await visitor();
  await other.goto(url);
  await other.getByRole("heading", { name: "Endpoints" }).waitFor();
  assert.equal(await other.getByText("Accepted").count(), 0, "what has no numbers shows none");
  await Promise.all([page, other].map((each) => each.context().close()));
});

test("an endpoint that says it is gone needs somebody, who enables it from there", async (t) => {
  const gone = await startReceiver();
  t.after(() => gone.close());
  gone.answersWith(410);
  await api("POST", "/api/v1/app", { name: "Leaving", uid: "leaving" });
  await api("POST", "/api/v1/app/leaving/endpoint", { url: gone.url });
  await api("POST", "/api/v1/app/leaving/msg", { eventType: "a.b", payload: {} });
  const page = await overview();
  const enable = page.getByRole("button", { name: `Enable ${gone.url}` });
  await says(page, gone.url);
  await page.goto(`${posthaste.url}/ui/endpoints?state=disabled`);
  await enable.waitFor();
  await isFineForAll(page);
  await page.goto(`${posthaste.url}/ui`);
  await enable.click();
  await page.getByText("active").waitFor();
  await page.goto(`${posthaste.url}/ui/endpoints`);
  await page.getByRole("link", { name: gone.url }).waitFor();
  await page.context().close();
});

test("a source that refuses needs somebody, with the reason", async () => {
  const name = `Repository ${MARKUP}`;
  const source = await api("POST", "/ingest/api/v1/source", { name, type: "github", uid: "repository", config: { secret: "hush" } });
  const headers = { "x-hub-signature-256": "sha256=00", "x-github-event": "push", "x-github-delivery": "1" };
  assert.equal((await fetch(source.ingestUrl, { method: "POST", body: "{}", headers })).status, 401);
  const page = await overview();
  await says(page, "1 refused");
  await page.locator(".needs li", { hasText: "1 refused" }).getByText("x-hub-signature-256").waitFor();
  await page.getByRole("link", { name }).click();
  await page.getByRole("heading", { name: "Refused" }).waitFor();
  await page.context().close();
});

test("the overview refreshes itself, but not under somebody's hands", async () => {
  const page = await overview();
  const before = Number(await figure(page, "Accepted"));
  await api("POST", "/api/v1/app", { name: "Busy", uid: "busy" });
  await api("POST", "/api/v1/app/busy/msg", { eventType: "a.b", payload: {} });
  await page.locator(".figures dd", { hasText: new RegExp(`^${before + 1}$`) }).first().waitFor();
  const isHeldBack = () => page.evaluate(() => {
    const asked = new CustomEvent("htmx:beforeRequest", { bubbles: true, cancelable: true });
    return !document.querySelector("[data-poll]").dispatchEvent(asked);
  });
  assert.equal(await isHeldBack(), false);
  await page.getByText("Show as table").click();
  assert.equal(await isHeldBack(), true);
  await page.context().close();
});

test("a session that ends while the overview is looked at leads to the login", async () => {
  const page = await overview();
  const [{ value }] = await page.context().cookies();
  await fetch(`${posthaste.url}/ui/logout`, { method: "POST", headers: { cookie: `posthaste_session=${value}` }, redirect: "manual" });
  await page.waitForURL("**/ui/login");
  await page.context().close();
});

test("what makes no sense in the address is refused in a sentence", async () => {
  const page = await overview();
  await page.goto(`${posthaste.url}/ui?period=2h`);
  await page.getByText('"2h" is no period of these charts: they know 1h, 24h, 7d, 30d.').waitFor();
  await page.goto(`${posthaste.url}/ui/endpoints?state=odd`);
  await page.getByText('"odd" is no state to filter endpoints by').waitFor();
  await page.context().close();
});

test("a page says how long the server took for it", async () => {
  const answer = await fetch(`${posthaste.url}/ui/login`);
  assert.match(answer.headers.get("server-timing"), /^page;dur=\d+\.\d\d$/);
});

test("charts have no serious finding, in either theme, at 380 pixels and at 1200", async () => {
  const [{ id }] = (await api("GET", "/api/v1/app/counted/endpoint?limit=1")).data;
  for (const [colorScheme, width] of [["light", 1200], ["dark", 1200], ["light", 380], ["dark", 380]]) {
    const page = await overview({ colorScheme, viewport: { width, height: 800 } });
    for (const path of ["/ui", "/ui?period=1h", "/ui?period=7d", "/ui/apps/counted", `/ui/apps/counted/endpoints/${id}`]) {
      await page.goto(posthaste.url + path);
      await page.getByText("Show as table").click();
      await isFineForAll(page);
    }
    for (const path of ["/ui/apps", "/ui/endpoints", "/ui/endpoints?state=failing"]) {
      await page.goto(posthaste.url + path);
      await isFineForAll(page);
    }
    await page.context().close();
  }
});
