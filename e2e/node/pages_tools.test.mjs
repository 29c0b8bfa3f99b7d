// The pages that one works with: jobs, sources, bins, the simulator, listeners and the API's reference.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MARKUP, api, isFineForAll, operator, posthaste, receiver, says, visitor } from "./browser.mjs";
import { knock } from "./support.mjs";

const SHOTS = process.env.SHOTS_DIR;

/** The page in both themes and two widths: judged by axe, and kept as a picture where SHOTS_DIR is set. */
async function isFineEverywhere(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [380, 1_200]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 900 });
      await isFineForAll(page);
      if (!SHOTS) continue;
      mkdirSync(SHOTS, { recursive: true });
      await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}-${width}.png`), fullPage: true });
    }
  }
}

/** An app with an endpoint and so many delivered messages, and a replay of them at so many a second. */
async function replayOf(uid, { messages, rate }) {
  await api("POST", "/api/v1/app", { name: `Customer ${uid}`, uid });
  await api("POST", `/api/v1/app/${uid}/endpoint`, { url: receiver.url });
  const before = (await receiver.got(0)).length;
  for (let number = 0; number < messages; number++) {
    await api("POST", `/api/v1/app/${uid}/msg`, { eventType: "order.paid", payload: { number } });
  }
  await receiver.got(before + messages);
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const path = `/api/posthaste/v1/app/${uid}/replay`;
  // What came may be recorded a moment later.
  for (let tries = 0; tries < 200; tries++) {
    const counted = await api("POST", path, { since, status: "delivered", dryRun: true });
    if (counted.count === messages) break;
  }
  return api("POST", path, { since, status: "delivered", ratePerSecond: rate });
}

test("a job says how far it is while it runs, and stops when it is told to", async () => {
  const job = await replayOf("job-slow", { messages: 60, rate: 1 });
  const page = await operator();
  await page.getByRole("link", { name: "Jobs" }).click();
  await page.getByRole("link", { name: "Replay" }).first().waitFor();
  await isFineEverywhere(page, "jobs");
  await page.getByRole("link", { name: "Replay" }).first().click();
  await page.waitForURL(`**/ui/jobs/${job.id}`);
  await page.getByText("running").waitFor();
  await isFineEverywhere(page, "job");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("cancelled").waitFor();
  assert.equal((await api("GET", `/api/v1/background-task/${job.id}`)).data.state, "cancelled");
  await page.context().close();
});

test("a job's page goes on by itself until the job is done", async () => {
  const job = await replayOf("job-live", { messages: 3, rate: 1 });
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/jobs/${job.id}`);
  await page.evaluate(() => (window.sameDocument = true));
  await page.getByText("finished").waitFor();
  await page.getByText("100 %").last().waitFor();
  assert.ok(await page.evaluate(() => window.sameDocument), "the page was not loaded anew");
  assert.equal(await page.locator("#job").getAttribute("hx-get"), null, "it asks no more");
  await page.context().close();
});

test("a job can be stopped without scripts", async () => {
  const job = await replayOf("job-plain", { messages: 6, rate: 1 });
  const page = await operator({ javaScriptEnabled: false });
  await page.goto(`${posthaste.url}/ui/jobs/${job.id}`);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("cancelled").waitFor();
  await page.context().close();
});

test("a part of a page that asks for itself leads to the login once the session is over", async () => {
  const job = await replayOf("job-over", { messages: 6, rate: 1 });
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/jobs/${job.id}`);
  await page.context().clearCookies();
  await page.waitForURL("**/ui/login");
  await page.context().close();
});

const SECRET = "It's a Secret to Everybody";
const signed = (body, secret = SECRET) => ({
  "content-type": "application/json",
  "x-github-event": "push",
  "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with scripts" : "without scripts";
  test(`a source is made, waits, says why a request was refused, and then that its signature is ok, ${how}`, async () => {
    const uid = `github-${javaScriptEnabled}`;
    const page = await operator({ javaScriptEnabled });
    await page.getByRole("link", { name: "Sources" }).click();
    await page.getByRole("link", { name: "New source" }).click();
    await page.getByLabel("Provider").fill("github");
    if (!javaScriptEnabled) await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("link", { name: "Stripe" }).waitFor({ state: "detached" });
    if (javaScriptEnabled) await isFineEverywhere(page, "source-pick");
    await page.getByRole("link", { name: "GitHub", exact: true }).click();
    if (javaScriptEnabled) await isFineEverywhere(page, "source-new");
    await page.getByLabel("Id of your own").fill(uid);
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("alert").getByText("must have a secret").waitFor();
    assert.equal(await page.getByLabel("Id of your own").inputValue(), uid, "what was typed is kept");
    await page.getByLabel("Name", { exact: true }).fill(`GitHub ${MARKUP}`);
    await page.getByLabel("Secret").fill(SECRET);
    await page.getByLabel("Handler").fill(receiver.url);
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByText("Waiting for the first request").waitFor();
    if (javaScriptEnabled) await isFineEverywhere(page, "source-waiting");

    const url = await page.locator("#address").textContent();
    const body = JSON.stringify({ note: MARKUP });
    assert.equal((await knock(url, signed(body, "another"), body)).status, 401);
    if (javaScriptEnabled) await page.getByText("The last request was refused").waitFor();
    else await says(page, "The last request was refused");
    if (javaScriptEnabled) await isFineEverywhere(page, "source-refused");
    assert.ok((await knock(url, signed(body), body)).status < 300);
    if (javaScriptEnabled) await page.getByText("signature ok").waitFor();
    else await says(page, "signature ok");
    await page.reload();
    await page.getByRole("link", { name: "push" }).waitFor();
    if (javaScriptEnabled) await isFineEverywhere(page, "source");

    await page.getByRole("link", { name: "Rejected" }).click();
    await page.getByText("What to change").or(page.getByText("does not match")).first().waitFor();
    assert.doesNotMatch(await page.locator("main").textContent(), /Everybody/);
    if (javaScriptEnabled) await isFineEverywhere(page, "source-rejected");
    await page.getByRole("link", { name: "Sources" }).first().click();
    await page.getByText("1 refused").first().waitFor();
    if (javaScriptEnabled) await isFineEverywhere(page, "sources");
    assert.doesNotMatch(await page.title(), /owned/);
    await page.context().close();
  });
}

test("a source's secret is rotated on its page: both are believed until the older one is forgotten", async () => {
  const source = await api("POST", "/ingest/api/v1/source", { name: "Rotated", uid: "rotated", type: "github", config: { secret: "the-older" } });
  const knocks = async (secret, number) => {
    const body = JSON.stringify({ number });
    return (await knock(source.ingestUrl, signed(body, secret), body)).status;
  };
  const page = await operator({ javaScriptEnabled: false });
  await page.goto(`${posthaste.url}/ui/sources/rotated/settings`);
  await page.getByLabel("New secret").fill("the-newer");
  await page.getByRole("button", { name: "Add it" }).click();
  await page.getByText("It knows 2 secrets").waitFor();
  assert.deepEqual([await knocks("the-older", 1), await knocks("the-newer", 2)], [200, 200]);
  await page.getByRole("button", { name: "Forget the older ones" }).click();
  await page.getByText("It knows one secret").waitFor();
  assert.deepEqual([await knocks("the-older", 3), await knocks("the-newer", 4)], [401, 200]);
  assert.doesNotMatch(await page.content(), /the-newer/);
  await page.context().close();
});

test("what may come in by a source, what it answers, and whether it hands on is set on its page", async () => {
  await api("POST", "/ingest/api/v1/source", { name: "Set", uid: "set", type: "generic-webhook" });
  const now = () => api("GET", "/ingest/api/v1/source/set");
  const page = await operator();
  await page.goto(`${posthaste.url}/ui/sources/set/settings`);
  await isFineEverywhere(page, "source-settings");
  await page.getByLabel("Repetitions are known by").selectOption("json");
  await page.getByLabel("Header or field").fill("data.id");
  await page.getByLabel("For so many hours").fill("24");
  await page.getByRole("button", { name: "Save" }).first().click();
  await page.waitForLoadState();
  assert.deepEqual((await now()).dedupe, { by: "json:data.id", windowSeconds: 86_400 });

  await page.getByText("Answer 200").click();
  await page.getByLabel("Status", { exact: true }).fill("202");
  await page.getByLabel("Body", { exact: true }).fill("thanks\nagain");
  await page.getByRole("button", { name: "Save" }).last().click();
  await page.getByText("Answer 202").waitFor();
  const { status, body } = (await now()).answer;
  assert.deepEqual({ status, body }, { status: 202, body: "thanks\nagain" });

  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("paused").waitFor();
  assert.equal((await now()).paused, true);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByLabel("Hand on to").fill("http://169.254.169.254/");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText("must lead to a public address").waitFor();
  await page.goBack();
  await page.getByText("Delete", { exact: true }).first().click();
  await page.getByLabel("Type its name").fill("Set");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.waitForURL("**/ui/sources");
  await assert.rejects(now, /404/);
  await page.context().close();
});

test("a bin shows what comes as it comes, whole, and keeps what is looked at in its place", async () => {
  const page = await operator();
  await page.getByRole("link", { name: "Bins" }).click();
  await page.getByLabel("Name").fill("seen");
  await page.getByRole("button", { name: "Make a bin" }).click();
  await page.getByText("Waiting for the first request").waitFor();
  await isFineEverywhere(page, "bin-waiting");
  const url = await page.locator("#address").textContent();
  await knock(`${url}/orders/1?a=b%20c`, { "content-type": "application/json", authorization: "Bearer mine" }, JSON.stringify({ note: MARKUP }), "PUT");
  await page.getByText("/orders/1").first().waitFor();
  assert.ok(await page.getByText("Bearer mine").count(), "whoever has the bin sees it whole");
  await page.locator(".came a").first().click();
  await page.getByText("Follow the newest").waitFor();
  await knock(url, { "content-type": "application/x-www-form-urlencoded" }, "kind=paid&sum=1+000");
  await page.locator(".came li").nth(1).waitFor();
  await page.locator(".whole").getByText("/orders/1").waitFor();
  await page.locator(".came a").first().click();
  await page.getByRole("cell", { name: "1 000" }).waitFor();
  const parts = "--X\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello\r\n--X--\r\n";
  await knock(url, { "content-type": "multipart/form-data; boundary=X" }, parts);
  await knock(url, {}, Buffer.from([0, 255, 1]));
  await page.getByText("Follow the newest").click();
  await page.getByText("000000  00 ff 01").first().waitFor();
  await page.locator(".came a").nth(1).click();
  await page.getByText("Part 1 of 1").waitFor();
  await page.locator(".came a").nth(3).click();
  await page.getByText("Follow the newest").waitFor();
  await isFineEverywhere(page, "bin");
  assert.doesNotMatch(await page.title(), /owned/);
  await page.goto(`${posthaste.url}/ui/bins`);
  await isFineEverywhere(page, "bins");
  await page.context().close();
});

test("a bin answers as it is told to, is shared by a link for looking only, and is emptied, without scripts", async () => {
  const page = await operator({ javaScriptEnabled: false });
  await page.goto(`${posthaste.url}/ui/bins`);
  await page.getByLabel("Name").fill("told");
  await page.getByRole("button", { name: "Make a bin" }).click();
  const url = await page.locator("#address").textContent();
  await page.locator("main").getByRole("link", { name: "Settings" }).click();
  await page.getByLabel("Status", { exact: true }).fill("503");
  await page.getByLabel("Body", { exact: true }).fill("later");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "Settings" }).waitFor();
  const answer = await knock(url, { authorization: "Bearer mine" }, "x");
  assert.deepEqual([answer.status, answer.body.toString()], [503, "later"]);

  await page.getByRole("button", { name: "Make a link" }).click();
  const link = await page.locator("#link").textContent();
  const guest = await visitor();
  await guest.goto(link);
  await guest.waitForURL("**/portal/s/*/*/bins/told");
  await guest.getByText("secrets are hidden").waitFor();
  assert.doesNotMatch(await guest.content(), /mine/);
  await isFineEverywhere(guest, "bin-shared");
  const [, base] = /^(.*)\/bins\/told$/.exec(guest.url());
  for (const path of ["/bins/seen", "/bins/rotated"]) assert.equal((await guest.goto(base + path)).status(), 404, path);
  await guest.context().close();

  await page.getByRole("button", { name: "Remove all requests" }).click();
  await page.getByText("What was here was removed").or(page.getByText("Waiting for the first")).first().waitFor();
  assert.deepEqual((await api("GET", "/ingest/api/v1/source/told/request")).data, []);
  await page.context().close();
});

test("the simulator signs as a provider does, and makes the mistakes that it is told to", async () => {
  await api("POST", "/ingest/api/v1/source", { name: "Simulated", uid: "simulated", type: "github", config: { secret: SECRET } });
  await api("POST", "/ingest/api/v1/source", { name: "Any", uid: "any", type: "bin" });
  const page = await operator();
  await page.getByRole("link", { name: "Simulator" }).click();
  await page.locator("#to").selectOption("simulated");
  await page.getByText("posthaste trigger github.").waitFor();
  await page.locator("#event").selectOption("issues.opened");
  await page.getByText("posthaste trigger github.issues.opened --source simulated").waitFor();
  await isFineEverywhere(page, "simulator");
  const send = () => page.getByRole("button", { name: "Send" }).click();
  await send();
  await page.getByRole("heading", { name: "200 taken" }).waitFor();
  await isFineEverywhere(page, "simulator-sent");
  await page.getByLabel("With a mistake").selectOption("signature");
  await send();
  await page.getByRole("heading", { name: "401 refused" }).waitFor();
  await page.getByLabel("With a mistake").selectOption("");
  await page.getByLabel("Body").fill("{");
  await send();
  await page.getByRole("alert").getByText("The body is not JSON").waitFor();
  assert.equal(await page.getByLabel("Body").inputValue(), "{", "what was typed is kept");
  assert.doesNotMatch(await page.content(), /Everybody/);
  await page.goto(`${posthaste.url}/ui/simulator?source=any&provider=stripe`);
  await page.getByText("posthaste trigger stripe.").waitFor();
  await page.getByLabel("Send it twice").check();
  await send();
  await page.getByRole("heading", { name: "the second time" }).waitFor();
  assert.equal((await api("GET", "/ingest/api/v1/source/any/request")).data.length, 2);
  await page.context().close();
});

test("the simulator works without scripts", async () => {
  await api("POST", "/ingest/api/v1/source", { name: "Plain", uid: "plain", type: "stripe", config: { secret: "whsec_plain" } });
  const page = await operator({ javaScriptEnabled: false });
  await page.goto(`${posthaste.url}/ui/simulator`);
  await page.locator("#to").selectOption("plain");
  await page.getByRole("button", { name: "Show it" }).click();
  await page.getByText("--source plain").waitFor();
  await page.getByLabel("With a mistake").selectOption("time");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("heading", { name: "401 refused" }).waitFor();
  await page.getByLabel("With a mistake").selectOption("");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("heading", { name: "200 taken" }).waitFor();
  await page.context().close();
});

test("the API's reference is made of what the server says of itself, and is searched with and without scripts", async () => {
  const document = await (await fetch(`${posthaste.url}/openapi.json`)).json();
  const count = Object.values(document.paths).flatMap(Object.keys).length;
  const page = await operator();
  await page.getByRole("link", { name: "API", exact: true }).click();
  await page.getByLabel(`Search ${count} operations`).waitFor();
  assert.equal(await page.locator(".operations a").count(), count);
  await isFineEverywhere(page, "api");
  await page.getByLabel("Search").fill("create message");
  await page.locator(".operations a").nth(1).waitFor({ state: "detached" });
  await page.locator(".operations a").click();
  await page.getByText(`curl -X POST ${posthaste.url}/api/v1/app/app_id/msg`).waitFor();
  await isFineEverywhere(page, "api-operation");
  for (const href of await page.locator(".operations a").evaluateAll((all) => all.map((a) => a.href))) {
    assert.equal((await page.request.get(href)).status(), 200, href);
  }
  await page.context().close();
  const plain = await operator({ javaScriptEnabled: false });
  await plain.goto(`${posthaste.url}/ui/api`);
  await plain.getByLabel("Search").fill("rotate");
  await plain.getByRole("button", { name: "Search" }).click();
  assert.ok(await plain.locator(".operations a").count() < 10);
  await plain.context().close();
});

test("who listens is shown from when they come until they leave", async () => {
  await api("POST", "/ingest/api/v1/source", { name: "Listened to", uid: "listened", type: "bin" });
  const page = await operator();
  await page.getByRole("link", { name: "Listeners" }).click();
  await page.getByText("Nobody listens now").waitFor();
  const port = new URL(receiver.url).port;
  const listener = spawn(process.env.POSTHASTE_BIN ?? "target/debug/posthaste",
    ["listen", port, "--source", "listened", "--server", posthaste.url, "--token", posthaste.token], { stdio: "ignore" });
  try {
    await page.getByRole("cell", { name: "listens" }).waitFor();
    await page.getByRole("cell", { name: "Listened to" }).waitFor();
    await isFineEverywhere(page, "listeners");
  } finally {
    listener.kill("SIGTERM");
  }
  await page.getByText("Nobody listens now").waitFor();
  await page.context().close();
});
