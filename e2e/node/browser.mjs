// The vocabulary of the tests of pages: a visitor with a real browser, and axe as the judge.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before } from "node:test";
import { call, load, startPosthaste, startReceiver } from "./support.mjs";

const { chromium } = load("playwright-core");
const { AxeBuilder } = load("@axe-core/playwright");

const BROWSER = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);
const DEADLINE_MS = 15_000;
export const MARKUP = `<img src=x onerror="document.title='owned'">`;

// Of the file that imports this: each test file is a process of its own.
export let posthaste, receiver, browser;

before(async () => {
  [posthaste, receiver] = [await startPosthaste(), await startReceiver()];
  browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
});
after(async () => {
  await browser?.close();
  receiver?.close();
  await posthaste?.stop();
});

export const api = (...asked) => call(posthaste, ...asked);

/** A page in a browser of its own, whose mistakes fail the test. */
export async function visitor(options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  return page;
}

export async function operator(options) {
  const page = await visitor(options);
  await page.goto(posthaste.url);
  await page.getByLabel("Token").fill(posthaste.token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL("**/ui");
  await page.goto(`${posthaste.url}/ui/apps`);
  return page;
}

/** What axe finds is listed whole, so that the failure says what to mend. */
export async function isFineForAll(page) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), []);
  const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(width <= 0, `${page.url()} is ${width} pixels too wide`);
}

/** Asks for a page again until it says so: what happens at the receiver is recorded a moment later. */
export async function says(page, text) {
  for (let tries = 0; tries < 200; tries++) {
    if (await page.getByText(text).count()) return;
    await page.reload();
  }
  assert.fail(`${page.url()} does not say ${text}`);
}
