// GitHub's own example payloads, sent as messages, arrive byte for byte.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { load, startPosthaste, startReceiver } from "./support.mjs";

let posthaste, receiver;

before(async () => {
  posthaste = await startPosthaste();
  receiver = await startReceiver();
});
after(async () => {
  receiver.close();
  await posthaste.stop();
});

const call = (method, path, body) =>
  fetch(posthaste.url + path, {
    method,
    body,
    headers: { authorization: `Bearer ${posthaste.token}`, "content-type": "application/json" },
  });

test("every example of every event arrives byte for byte", async () => {
  const events = load("@octokit/webhooks-examples");
  const all = (events.default ?? events).flatMap((event) => event.examples.map((example) => [event.name, example]));
  assert.ok(all.length > 100, `${all.length} examples`);
  await call("POST", "/api/v1/app", JSON.stringify({ name: "GitHub", uid: "github" }));
  await call("POST", "/api/v1/app/github/endpoint", JSON.stringify({ url: receiver.url }));
  const sent = new Map();
  for (const [index, [name, example]] of all.entries()) {
    // Not as any library would write it: odd spacing, an escape and a number that a parser would rewrite.
    const text = JSON.stringify(example, null, index % 3).replace("{", `{ "odd":1.50e+01, "esc":"\\u00e9\\/",`);
    const answer = await call("POST", "/api/v1/app/github/msg", `{"eventType":"${name}","payload":${text}}`);
    assert.equal(answer.status, 202, `${name}: ${await answer.clone().text()}`);
    sent.set((await answer.json()).id, text);
  }
  const requests = await receiver.got(all.length);
  for (const { headers, body } of requests) {
    assert.equal(body.toString("utf8"), sent.get(headers["webhook-id"]));
    sent.delete(headers["webhook-id"]);
  }
  assert.equal(sent.size, 0);
});
