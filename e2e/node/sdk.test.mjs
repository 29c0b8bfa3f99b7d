// The official Node SDK, unmodified, in whichever generation is installed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { load, startPosthaste, startReceiver } from "./support.mjs";

const { Svix, Webhook } = load("svix");
const standard = load("standardwebhooks");

let posthaste, receiver, client, app;

before(async () => {
  posthaste = await startPosthaste();
  client = new Svix(posthaste.token, { serverUrl: posthaste.url });
});
after(() => posthaste.stop());

async function fresh(fields = {}) {
  receiver = await startReceiver();
  app = await client.application.create({ name: "A customer" });
  return client.endpoint.create(app.id, { url: receiver.url, ...fields });
}

const send = (payload = { hello: "world" }) =>
  client.message.create(app.id, { eventType: "user.created", payload });

async function attemptsOf(message, count) {
  for (let asked = 0; asked < 2000; asked++) {
    const { data } = await client.messageAttempt.listByMsg(app.id, message.id);
    if (data.length >= count) return data;
  }
  throw new Error("the attempts were not recorded");
}

test("a message arrives signed for both verifiers", async () => {
  const endpoint = await fresh();
  const { key } = await client.endpoint.getSecret(app.id, endpoint.id);
  const message = await send({ name: "Zoë" });
  const [{ headers, body }] = await receiver.got(1);
  assert.equal(headers["webhook-id"], message.id);
  new Webhook(key).verify(body, headers);
  assert.deepEqual(new standard.Webhook(key).verify(body, headers), { name: "Zoë" });
  assert.throws(() => new standard.Webhook(key).verify(body + " ", headers));
  receiver.close();
});

test("a failing receiver is tried again, and a message is sent again by hand", async () => {
  const endpoint = await fresh();
  receiver.answersWith(500);
  const message = await send();
  await receiver.got(2);
  assert.equal((await attemptsOf(message, 2)).length, 2);
  await client.messageAttempt.resend(app.id, message.id, endpoint.id);
  await receiver.got(3);
  assert.equal((await attemptsOf(message, 3)).length, 3);
  receiver.close();
});

test("after a rotation both secrets sign", async () => {
  const endpoint = await fresh();
  const old = (await client.endpoint.getSecret(app.id, endpoint.id)).key;
  await client.endpoint.rotateSecret(app.id, endpoint.id, {});
  const fresher = (await client.endpoint.getSecret(app.id, endpoint.id)).key;
  assert.notEqual(old, fresher);
  await send();
  const [{ headers, body }] = await receiver.got(1);
  for (const key of [old, fresher]) new Webhook(key).verify(body, headers);
  receiver.close();
});

test("what failed is recovered", async () => {
  const endpoint = await fresh();
  receiver.answersWith(500, 500, 500);
  const message = await send();
  await receiver.got(3);
  await attemptsOf(message, 3);
  const since = new Date(Date.now() - 3_600_000);
  const task = await client.endpoint.recover(app.id, endpoint.id, { since });
  assert.match(task.id, /^qtask_/);
  const requests = await receiver.got(4);
  assert.equal(requests[3].headers["webhook-id"], message.id);
  receiver.close();
});

test("event types, lists and errors look as the SDK expects", async () => {
  await fresh();
  const name = `invoice.paid.${Date.now()}`;
  await client.eventType.create({ name, description: "Paid" });
  assert.equal((await client.eventType.get(name)).description, "Paid");
  await assert.rejects(client.eventType.create({ name, description: "again" }), { code: 409 });
  await assert.rejects(client.application.get("nobody"), { code: 404 });
  const page = await client.application.list({ limit: 1 });
  assert.equal(page.data.length, 1);
  assert.equal(typeof page.iterator, "string");
  receiver.close();
});
