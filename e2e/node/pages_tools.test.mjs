// The pages that one works with: jobs, sources, bins, the simulator, listeners and the API's reference.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { api, isFineForAll, operator, posthaste, receiver } from "./browser.mjs";

const SHOTS = process.env.SHOTS_DIR;

/** The page in both themes and two widths: judged by axe, and kept as a picture where SHOTS_DIR is set. */
async function isFineEverywhere(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [380, 1_200]) {
      await page.emulateMedia({ colorScheme });
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
