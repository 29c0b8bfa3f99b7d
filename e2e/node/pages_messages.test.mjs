// Pages of messages, attempts and endpoints: finding, looking, sending again, settings.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MARKUP, api, isFineForAll, operator, posthaste, receiver, says, visitor } from "./browser.mjs";
import { startReceiver } from "./support.mjs";

const types = (page) => page.locator("#list tbody a.row").allTextContents();

/** An app with an endpoint that is well and one that answers 500. */
async function shop(t, uid) {
  const failing = await startReceiver();
  t.after(() => failing.close());
  failing.answersWith(...Array(500).fill(500));
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

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with scripts" : "without scripts";
  test(`an attempt shows the request as it was sent, what it means that it failed, and both to be taken along, ${how}`, async (t) => {
    const { unwell, failing, send, at } = await shop(t, `tried-${javaScriptEnabled}`);
    await api("PATCH", `/api/v1/app/tried-${javaScriptEnabled}/endpoint/${unwell.id}/headers`, { headers: { "X-Team": "billing", "X-Api-Key": "hush" } });
    const message = await send("order.paid", { note: MARKUP, price: 1.5 });
    const sent = (await failing.got(1))[0];
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/messages/${message.id}`);
    await says(page, "500");
    await page.getByRole("article").filter({ hasText: failing.url }).getByRole("link", { name: "attempt 1" }).click();
    await page.getByRole("heading", { name: "Attempt" }).waitFor();
    await says(page, "The receiver failed while it worked on the message");
    const shown = Object.fromEntries(await page.locator("section[aria-labelledby=request] tr").evaluateAll((rows) => rows.map((row) => [row.cells[0].textContent, row.cells[1].textContent])));
    for (const [name, value] of Object.entries(sent.headers)) {
      if (["connection", "accept"].includes(name)) continue;
      assert.equal(shown[name], name === "x-api-key" ? "(hidden)" : value, name);
    }
    assert.match(await page.locator("#curl").textContent(), /^curl -X POST 'http.*webhook-signature: v1,.*--data-raw '\{/s);
    assert.doesNotMatch(await page.content(), /hush/);
    const { log: { entries: [entry] } } = await page.evaluate(async (url) => (await fetch(url)).json(), await page.getByRole("link", { name: "HAR" }).getAttribute("href"));
    assert.equal(entry.response.status, 500);
    assert.equal(entry.request.postData.text, sent.body.toString());
    assert.equal(entry.request.headers.find(({ name }) => name === "webhook-signature").value, sent.headers["webhook-signature"]);
    await page.context().close();
  });
}

test("a payload can be folded, is shown letter by letter, and is saved as it came", async (t) => {
  const { send, at } = await shop(t, "folded");
  const text = `{"price": 1.50, "items":[{"sku":"a\\u00e9"},{"sku":"b"}], "note":${JSON.stringify(MARKUP)}}`;
  const made = await fetch(`${posthaste.url}/api/v1/app/folded/msg`, {
    method: "POST", body: `{"eventType":"order.paid","payload":${text}}`,
    headers: { authorization: `Bearer ${posthaste.token}`, "content-type": "application/json" },
  });
  const { id } = await made.json();
  const page = await operator();
  await page.goto(`${at}/messages/${id}`);
  await page.locator(".tree").getByText('"price": 1.50').waitFor();
  await page.locator(".tree summary", { hasText: '"items"' }).click();
  await page.locator(".tree").getByText("… 2 ],").waitFor();
  assert.equal(await page.locator(".tree").getByText('"sku": "b"').isVisible(), false);
  const saved = await page.evaluate(async (url) => {
    const answer = await fetch(url);
    return [answer.headers.get("content-type"), answer.headers.get("content-disposition"), await answer.text()];
  }, `${at}/messages/${id}/payload`);
  assert.deepEqual(saved, ["application/octet-stream", `attachment; filename="${id}.json"`, text]);
  await page.getByText("As text, letter by letter").click();
  assert.equal(await page.locator(".as-text pre").textContent(), text);
  assert.doesNotMatch(await page.title(), /owned/);
  await send("order.shipped");
  await page.context().close();
});

test("a message is sent again to all it went to, and once more with another payload, which stays if it is refused", async (t) => {
  const other = await startReceiver();
  t.after(() => other.close());
  const { failing, send, at } = await shop(t, "again");
  await api("POST", "/api/v1/app/again/endpoint", { url: other.url });
  const message = await send("order.paid", { n: 1 }, { tags: ["eu"], channels: ["web"] });
  const page = await operator();
  await other.got(1);
  await failing.got(3);
  await page.goto(`${at}/messages/${message.id}`);
  await says(page, "all tries are used up");
  await page.getByRole("button", { name: "Send again to all 3" }).click();
  await Promise.all([other.got(2), failing.got(4)]);
  await page.getByRole("link", { name: "Edit and send" }).click();
  await page.getByLabel("Payload").fill('{"n": 2.50');
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("alert").getByText("The payload is not JSON").waitFor();
  assert.equal(await page.getByLabel("Payload").inputValue(), '{"n": 2.50');
  assert.equal(await page.getByLabel("Tags").inputValue(), "eu");
  await page.getByLabel("Payload").fill('{"n": 2.50}');
  await page.getByRole("button", { name: "Send" }).click();
  await page.waitForURL((url) => /messages\/msg_/.test(url.pathname) && !url.pathname.endsWith(message.id));
  const requests = await other.got(3);
  assert.equal(requests.at(-1).body.toString(), '{"n": 2.50}');
  await page.context().close();
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with scripts" : "without scripts";
  test(`what a filter matches is counted before it is sent again, by a job, ${how}`, async (t) => {
    const uid = `many-${javaScriptEnabled}`;
    const { failing, send, at } = await shop(t, uid);
    for (let n = 0; n < 5; n++) await send("order.paid", { n, customer: { id: n % 2 } });
    await send("order.shipped");
    await failing.got(15);
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/messages?state=failed`);
    for (let tries = 0; tries < 200 && (await page.locator("tbody tr").count()) < 5; tries++) await page.reload();
    await page.getByRole("link", { name: "Send these again…" }).click();
    await page.getByText("5 deliveries, about 1.0 s at 20 a second").waitFor();
    await page.goto(`${at}/messages/resend?state=failed&payload=customer.id%3D1&rate=1`);
    await page.getByText("2 deliveries, about 2.0 s at 1 a second").waitFor();
    await page.getByRole("button", { name: "Send again", exact: true }).click();
    await page.waitForURL("**/ui/jobs/qtask_*");
    await failing.got(17);
    const task = await api("GET", `/api/v1/background-task/${page.url().split("/").at(-1)}`);
    assert.deepEqual([task.task, task.data.total], ["endpoint.bulk-replay", 2]);
    await page.goto(`${at}/messages/resend?event_type=nothing`);
    await page.getByText("Nothing is there to be sent again").waitFor();
    await page.context().close();
  });
}

test("whoever may only look sees no signature and no way to send", async (t) => {
  const { send } = await shop(t, "shy");
  const message = await send("order.paid");
  const { url } = await api("POST", "/api/v1/auth/app-portal-access/shy", { readOnly: true });
  const page = await visitor();
  await page.goto(url);
  await page.waitForURL("**/portal/s/**");
  const base = page.url();
  await page.goto(`${base}/messages/${message.id}`);
  await page.getByRole("link", { name: "attempt 1" }).first().waitFor({ timeout: 100 }).catch(() => says(page, "attempt 1"));
  await page.getByRole("link", { name: "attempt 1" }).first().click();
  await page.getByRole("heading", { name: "Attempt" }).waitFor();
  const signature = page.getByRole("row", { name: /^webhook-signature/ });
  assert.match(await signature.textContent(), /\(hidden\)/);
  assert.doesNotMatch(await page.content(), /v1,[A-Za-z0-9+/]{40}/);
  for (const path of ["/messages/resend", `/messages/${message.id}/edit`]) {
    const status = await page.evaluate(async (url) => (await fetch(url)).status, base + path);
    assert.ok(status === 403 || status === 404, `${path} ${status}`);
  }
  await page.context().close();
});

test("these pages have no serious finding, in either theme, at 380 pixels and at 1200", async (t) => {
  const { well, failing, send, at } = await shop(t, "seen-here");
  const message = await send("order.paid", { a: [1, { b: "c" }], note: "x" }, { tags: ["eu"] });
  await failing.got(3);
  for (const [colorScheme, width] of [["light", 1200], ["dark", 380]]) {
    const page = await operator({ colorScheme, viewport: { width, height: 800 } });
    await page.goto(`${at}/messages/${message.id}`);
    await says(page, "all tries are used up");
    await isFineForAll(page);
    for (const path of ["/messages?state=failed&payload=a.b%3Dc", "/messages?state=lost", `/messages/${message.id}/edit`, "/messages/resend?state=failed", `/endpoints/${well.id}`]) {
      await page.goto(at + path);
      await isFineForAll(page);
    }
    await page.goto(`${at}/messages/${message.id}`);
    for (const lane of await page.locator(".tries a").all()) await lane.waitFor();
    for (const href of await page.locator(".tries a").evaluateAll((links) => links.map((link) => link.href))) {
      await page.goto(href);
      await isFineForAll(page);
    }
    await page.context().close();
  }
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "with scripts" : "without scripts";
  test(`an endpoint's filters are tried on the last messages before they are saved, ${how}`, async (t) => {
    const uid = `tries-${javaScriptEnabled}`;
    const { well, send, at } = await shop(t, uid);
    await send("order.paid", {}, { channels: ["web"] });
    await send("order.paid");
    await send("user.made");
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/endpoints/${well.id}`);
    await page.getByText("Change", { exact: true }).click();
    const says = async (words) => {
      if (!javaScriptEnabled) await page.getByRole("button", { name: /^Try/ }).click();
      await page.getByRole("status").getByText(words).waitFor();
    };
    await page.getByLabel("Event types").fill("order.paid");
    await says("2 of the last 3 messages");
    await page.getByLabel("Channels").fill("web");
    await says("1 of the last 3 messages");
    await page.getByLabel("Channels").fill("a/b");
    await says(/The channel "a\/b" may hold only letters/);
    const endpoint = () => api("GET", `/api/v1/app/${uid}/endpoint/${well.id}`);
    assert.deepEqual([(await endpoint()).eventTypes, (await endpoint()).channels], [null, null], "nothing was saved");
    await page.goto(`${at}/endpoints/${well.id}`);
    await page.getByText("Change", { exact: true }).click();
    await page.getByLabel("Event types").fill("order.paid");
    await page.getByLabel("Channels").fill("web, shop");
    await page.getByRole("button", { name: "Save" }).click();
    await page.waitForURL(`${at}/endpoints/${well.id}`);
    assert.deepEqual([(await endpoint()).eventTypes, (await endpoint()).channels], [["order.paid"], ["web", "shop"]]);
    await page.getByText("Change", { exact: true }).click();
    await page.getByLabel("URL").fill("http://169.254.169.254/");
    await page.getByLabel("Description").fill("typed");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("alert").getByText("url must lead to a public address").waitFor();
    assert.equal(await page.getByLabel("Description").inputValue(), "typed");
    await page.context().close();
  });

  test(`an endpoint's own headers are set and taken away, and their values never shown, ${how}`, async (t) => {
    const uid = `heads-${javaScriptEnabled}`;
    const { well, at } = await shop(t, uid);
    const headers = () => api("GET", `/api/v1/app/${uid}/endpoint/${well.id}/headers`);
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/endpoints/${well.id}`);
    await page.getByText("Headers of its own (0)").click();
    await page.getByLabel("Name", { exact: true }).fill("X-Team");
    await page.getByLabel("Value", { exact: true }).fill("hush");
    await page.getByRole("button", { name: "Set it" }).click();
    await page.getByText("Headers of its own (1)").click();
    assert.deepEqual((await headers()).headers, { "X-Team": "hush" });
    assert.doesNotMatch(await page.content(), /hush/);
    await page.getByRole("button", { name: "Remove X-Team" }).click();
    await page.getByText("Headers of its own (0)").waitFor();
    assert.deepEqual((await headers()).headers, {});
    await page.context().close();
  });

  test(`a secret is rotated with the overlap that was chosen, and what is left of the older one is told, ${how}`, async (t) => {
    const { well, at } = await shop(t, `turns-${javaScriptEnabled}`);
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/endpoints/${well.id}`);
    await page.getByText("Secret", { exact: true }).click();
    await page.getByLabel("The present one signs along for").selectOption("72");
    await page.getByRole("button", { name: "Rotate" }).click();
    await page.getByText("Secret", { exact: true }).click();
    assert.match(await page.locator("[data-until]").textContent(), /^(3 d 0 h|2 d 23 h)$/);
    await page.getByLabel("The present one signs along for").selectOption("0");
    await page.getByRole("button", { name: "Rotate" }).click();
    await page.getByText("Secret", { exact: true }).click();
    assert.equal(await page.locator("[data-until]").count(), 0);
    await page.context().close();
  });

  test(`what failed at an endpoint is counted before it is sent again, ${how}`, async (t) => {
    const uid = `back-${javaScriptEnabled}`;
    const { unwell, failing, send, at } = await shop(t, uid);
    for (let n = 0; n < 3; n++) await send("order.paid", { n });
    await failing.got(9);
    const page = await operator({ javaScriptEnabled });
    await page.goto(`${at}/endpoints/${unwell.id}`);
    await says(page, "Count it first");
    await page.getByRole("button", { name: "Count it first" }).click();
    await says(page, "3 deliveries");
    await page.getByLabel("Of the last").selectOption("8");
    if (!javaScriptEnabled) await page.getByRole("button", { name: "Count", exact: true }).click();
    await page.waitForURL((url) => url.searchParams.get("hours") === "8");
    await page.getByRole("button", { name: "Recover" }).click();
    await page.waitForURL("**/ui/jobs/qtask_*");
    await failing.got(12);
    await page.context().close();
  });
}

test("what verifies a request is shown with the endpoint's secret, and tells a genuine one from a forged one", async (t) => {
  const { failing, send, unwell, at } = await shop(t, "genuine");
  await send("order.paid", { note: "Zoë" });
  const [{ headers, body }] = await failing.got(1);
  const page = await operator();
  await page.goto(`${at}/endpoints/${unwell.id}`);
  await page.getByText("Secret", { exact: true }).click();
  assert.equal(await page.locator(".snippet").count(), 0);
  await page.getByRole("button", { name: "Show it" }).click();
  const text = async (language) => page.locator(".snippet").filter({ has: page.locator("summary", { hasText: language }) }).locator("pre").textContent();
  const dir = mkdtempSync(join(tmpdir(), "posthaste-snippets-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const forged = { ...headers, "webhook-id": "msg_forged" };

  writeFileSync(join(dir, "verify.mjs"), await text("Node"));
  const { isGenuine } = await import(join(dir, "verify.mjs"));
  assert.deepEqual([isGenuine(headers, body), isGenuine(forged, body), isGenuine(headers, Buffer.from("{}"))], [true, false, false]);

  writeFileSync(join(dir, "body"), body);
  const run = (command, args, env) => spawnSync(command, args, { cwd: dir, env: { ...process.env, ...env } }).stdout.toString().trim();
  writeFileSync(join(dir, "verify.sh"), await text("Shell"));
  const env = ({ "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature }) => ({ id, timestamp, signature });
  assert.deepEqual([run("sh", ["verify.sh"], env(headers)), run("sh", ["verify.sh"], env(forged))], ["genuine", "forged"]);

  writeFileSync(join(dir, "verify.py"), `${await text("Python")}\nimport json, sys\nprint([is_genuine(json.loads(one), open("body", "rb").read()) for one in sys.argv[1:]])\n`);
  assert.equal(run("python3", ["verify.py", JSON.stringify(headers), JSON.stringify(forged)]), "[True, False]");
  await page.context().close();
});

test("an endpoint's page has no serious finding with all of it open, in either theme, at 380 pixels and at 1200", async (t) => {
  const { unwell, failing, send, at } = await shop(t, "all-open");
  await send("order.paid");
  await failing.got(3);
  for (const [colorScheme, width] of [["light", 1200], ["dark", 380]]) {
    const page = await operator({ colorScheme, viewport: { width, height: 800 } });
    await page.goto(`${at}/endpoints/${unwell.id}`);
    await page.getByText("Secret", { exact: true }).click();
    await page.getByRole("button", { name: "Show it" }).click();
    await page.locator(".secret").waitFor();
    await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
    await page.getByLabel("Event types").fill("order.paid");
    await page.getByText("1 of the last 1 messages").waitFor();
    await isFineForAll(page);
    await page.goto(`${at}/endpoints/${unwell.id}/recover?hours=8`);
    await isFineForAll(page);
    await page.goto(`${at}/endpoints/${unwell.id}?status=failed`);
    await isFineForAll(page);
    await page.context().close();
  }
});

test("anything is found by its id alone, and each application's messages from one page", async (t) => {
  const { well, send, at } = await shop(t, "somewhere");
  const message = await send("order.paid");
  const page = await operator();
  await page.getByRole("link", { name: "Messages" }).click();
  await isFineForAll(page);
  const finds = async (id, path) => {
    await page.goto(`${posthaste.url}/ui/messages`);
    await page.getByLabel("Id").fill(id);
    await page.getByRole("button", { name: "Find" }).click();
    await page.waitForURL((url) => url.pathname.endsWith(path));
  };
  await finds(message.id, `/messages/${message.id}`);
  await finds(well.id, `/endpoints/${well.id}`);
  await finds("evt-nowhere", "/ui/messages");
  await page.getByRole("alert").getByText("Nothing has the id evt-nowhere").waitFor();
  await page.goto(`${posthaste.url}/ui/messages?event_type=order.*`);
  await page.getByRole("link", { name: "Shop somewhere" }).click();
  await page.waitForURL(`${at}/messages?event_type=order.*`);
  await page.context().close();
});
