// Pages of messages, attempts and endpoints: finding, looking, sending again, settings.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MARKUP, api, isFineForAll, operator, posthaste, receiver, says, visitor } from "./browser.mjs";
import { startReceiver } from "./support.mjs";

const types = (page) => page.locator("#list tbody a.row").allTextContents();

/** An app with an endpoint that is well and one that answers 503. */
async function shop(t, uid) {
  const failing = await startReceiver();
  t.after(() => failing.close());
  failing.answersWith(...Array(500).fill(503));
  await api("POST", "/api/v1/app", { name: `Shop ${uid}`, uid });
  const make = (body) => api("POST", `/api/v1/app/${uid}/endpoint`, body);
  const well = await make({ url: receiver.url });
  const unwell = await make({ url: failing.url, filterTypes: ["order.paid"] });
  const send = (eventType, payload = {}, fields = {}) => api("POST", `/api/v1/app/${uid}/msg`, { eventType, payload, ...fields });
  return { well, unwell, failing, send, at: `${posthaste.url}/ui/apps/${uid}` };
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with scripts" : "without scripts";
  test(`messages are filtered by what became of them, type, payload, tag and endpoint, and the address says so, ${how}`, async (t) => {
    const { well, unwell, send, at } = await shop(t, `found-${javaScriptEnabled}`);
    await send("order.paid", { customer: { id: 1, name: MARKUP } }, { tags: ["eu"] });
    await send("order.shipped", { customer: { id: 42 } });
    await send("user.made", { customer: { id: 42 } });
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/messages`);
    await says(page, "1 failed");
    assert.deepEqual(await types(page), ["user.made", "order.shipped", "order.paid"]);
    const filters = async (field, value, expected) => {
      const input = page.getByLabel(field, { exact: false }).first();
      if (!(await input.isVisible())) await page.getByText("More filters").click();
      if (await input.evaluate((one) => one.tagName === "SELECT")) await input.selectOption(value);
      else await input.fill(value);
      if (!javaScriptEnabled) await page.getByRole("button", { name: "Show" }).click();
      await page.waitForURL((url) => url.search.length > 1);
      await page.locator("#list .chip").first().waitFor();
      assert.deepEqual(await types(page), expected, `${field} ${value}`);
      assert.doesNotMatch(page.url(), /=(&|$)/);
      await page.goto(page.url());
      assert.deepEqual(await types(page), expected, "the address leads there again");
      await page.getByRole("link", { name: "Clear filters" }).first().click();
      await page.waitForURL(`${at}/messages`);
    };
    await filters("Event type", "order.*", ["order.shipped", "order.paid"]);
    await filters("State", "failed", ["order.paid"]);
    await filters("Payload", "customer.id=42", ["user.made", "order.shipped"]);
    await filters("Tag", "eu", ["order.paid"]);
    await filters("Endpoint", unwell.id, ["order.paid"]);
    await filters("Endpoint", well.id, ["user.made", "order.shipped", "order.paid"]);
    await filters("Time", "1h", ["user.made", "order.shipped", "order.paid"]);

    await page.goto(`${at}/messages?event_type=order.*&payload=customer.id=42`);
    await page.getByRole("link", { name: "Remove Payload: customer.id=42" }).click();
    assert.deepEqual(await types(page), ["order.shipped", "order.paid"]);
    await page.goto(`${at}/messages?state=lost`);
    await page.getByRole("alert").getByText("must be delivered, failed, waiting or sending").waitFor();
    await page.context().close();
  });
}

test("a list whose filter finds little says how far it looked, and looks further from there", async (t) => {
  const { send, at } = await shop(t, "far");
  await send("rare.one", { n: 1 });
  // Bodies are looked at until there is a megabyte of them.
  for (let n = 0; n < 120; n++) await send("usual", { filler: "x".repeat(20_000), n: n + 2 });
  const page = await operator();
  await page.goto(`${at}/messages?payload=n%3D1`);
  await page.getByText(/Looked at \d+ messages, back to/).waitFor();
  const looked = Number((await page.locator(".looked").textContent()).match(/Looked at (\d+)/)[1]);
  assert.ok(looked >= 50 && looked < 121, `${looked}`);
  await page.getByRole("link", { name: "Look further" }).click();
  await page.getByRole("link", { name: "Look further" }).or(page.locator("a.row")).first().waitFor();
  for (let tries = 0; tries < 5 && !(await page.locator("a.row").count()); tries++) {
    await page.getByRole("link", { name: "Look further" }).click();
  }
  assert.deepEqual(await types(page), ["rare.one"]);
  await page.context().close();
});

test("what is new is counted for the filters that are set, when they change too", async (t) => {
  const { send, at } = await shop(t, "alive");
  await send("order.first");
  const page = await operator();
  await page.goto(`${at}/messages`);
  await page.getByLabel("Event type").fill("order.*");
  await page.locator(".chip").waitFor();
  await send("user.made");
  await send("order.paid");
  await page.getByText("1 new: show").waitFor();
  await send("order.paid");
  await page.getByText("2 new: show").click();
  await page.locator("#list tbody tr").nth(2).waitFor();
  assert.deepEqual(await types(page), ["order.paid", "order.paid", "order.first"]);
  await page.context().close();
});

void [isFineForAll, visitor];
