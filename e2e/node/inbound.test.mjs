// What providers' own libraries sign is believed, and what reaches the handler is believed by them again.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { load, newSource, startPosthaste } from "./support.mjs";

const { Webhooks } = load("@octokit/webhooks");
const examples = load("@octokit/webhooks-examples");
const Stripe = load("stripe");
const twilio = load("twilio");
const { verifySlackRequest } = load("@slack/bolt");
const standard = load("standardwebhooks");
const svix = load("svix");

const JSON_TYPE = { "content-type": "application/json" };

let posthaste;
const handlers = [];

before(async () => {
  posthaste = await startPosthaste();
});
after(async () => {
  for (const handler of handlers) handler.close();
  await posthaste.stop();
});

async function sourceOf(type, config) {
  const source = await newSource(posthaste, type, config);
  handlers.push(source.handler);
  return source;
}

// Sends what is believed and something changed, and returns what reached the handler.
async function taken(source, headers, body, query) {
  const answer = await source.knock(headers, body, query);
  assert.equal(Math.floor(answer.status / 100), 2, `${answer.status} ${answer.body}`);
  const changed = await source.knock(headers, body.replace(/.$/s, " }"), query);
  assert.equal(changed.status, 401, `${changed.status} ${changed.body}`);
  const [handled] = await source.handler.got(1);
  assert.equal(handled.body.toString("utf8"), body);
  assert.equal((await source.messages()).length, 1);
  signedByUs(source, handled);
  return handled;
}

function signedByUs(source, { headers, body }) {
  new standard.Webhook(source.key).verify(body, headers, { jsonParse: false });
  new svix.Webhook(source.key).verify(body, headers);
}

const parallel = async (count, items, work) => {
  const left = [...items];
  await Promise.all(Array.from({ length: count }, async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  }));
};

test("every example of every event of GitHub is believed, typed and handed on byte for byte", async () => {
  const webhooks = new Webhooks({ secret: "It's a Secret to Everybody" });
  const source = await sourceOf("github", { secret: "It's a Secret to Everybody" });
  const events = examples.default ?? examples;
  const all = events.flatMap(({ name, examples }) => examples.map((payload) => ({ name, payload })));
  assert.ok(all.length > 300, `${all.length} examples`);
  const sent = new Map();
  await parallel(8, all.entries(), async ([index, { name, payload }]) => {
    // As GitHub writes it, and as no library would.
    const text = JSON.stringify(payload, null, index % 3).replace("{", `{ "odd":1.50e+01, "esc":"\\u00e9\\/é",`);
    const delivery = `72d3162e-cc78-11e3-81ab-${String(index).padStart(12, "0")}`;
    const headers = {
      ...JSON_TYPE,
      "user-agent": "GitHub-Hookshot/044aadd",
      "x-github-event": name,
      "x-github-delivery": delivery,
      "x-github-hook-id": "292430182",
      "x-hub-signature-256": await webhooks.sign(text),
    };
    sent.set(delivery, { name, text, headers });
    const tampered = await source.knock(headers, text + " ");
    assert.equal(tampered.status, 401, name);
    const answer = await source.knock(headers, text);
    assert.equal(answer.status, 200, `${name}: ${answer.body}`);
  });
  const handled = await source.handler.got(all.length);
  assert.equal(handled.length, all.length);
  for (const request of handled) {
    const { headers, body } = request;
    const known = sent.get(headers["x-github-delivery"]);
    assert.equal(body.toString("utf8"), known.text);
    for (const [name, value] of Object.entries(known.headers)) assert.equal(headers[name], value);
    assert.ok(await webhooks.verify(body.toString("utf8"), headers["x-hub-signature-256"]));
    signedByUs(source, request);
    sent.delete(headers["x-github-delivery"]);
  }
  assert.equal(sent.size, 0);
  const types = (await source.messages()).map(({ eventType }) => eventType).sort();
  assert.deepEqual(types, all.map(({ name }) => name).sort());
});

// The objects that Stripe's API reference shows, as far as its events carry them.
const stripeObject = (type) => {
  const object = type.slice(0, type.lastIndexOf("."));
  return {
    id: `${object.replace(/[^a-z]/g, "").slice(0, 4)}_1MowQVLkdIwHu7ixeRlqHVzs`,
    object,
    amount: 2000,
    currency: "eur",
    description: "Zoë’s order — ünïcödé",
    metadata: { "order id": "6735", "</script>": "\u2028" },
  };
};

test("Stripe's library signs events of every kind, and reads them at the handler", async () => {
  const secret = "whsec_5nKzmQ1pZ8rT";
  const stripe = new Stripe("sk_test_none");
  const types = [
    "account.updated", "charge.dispute.created", "charge.succeeded", "checkout.session.completed", "customer.created",
    "customer.subscription.deleted", "invoice.paid", "invoice.payment_failed", "payment_intent.succeeded",
    "payout.paid", "price.created", "radar.early_fraud_warning.created", "setup_intent.canceled",
  ];
  for (const [index, type] of types.entries()) {
    const source = await sourceOf("stripe", { secret });
    const event = {
      id: `evt_1NG8Du2eZvKYlo2CUI79v${index}`,
      object: "event",
      api_version: Stripe.API_VERSION,
      created: 1686089970,
      data: { object: stripeObject(type), previous_attributes: null },
      livemode: false,
      pending_webhooks: 0,
      request: { id: null, idempotency_key: null },
      type,
    };
    const body = JSON.stringify(event, null, 2);
    const signature = stripe.webhooks.generateTestHeaderString({ payload: body, secret });
    const handled = await taken(source, { ...JSON_TYPE, "stripe-signature": signature }, body);
    const read = stripe.webhooks.constructEvent(handled.body, handled.headers["stripe-signature"], secret);
    assert.deepEqual(JSON.parse(JSON.stringify(read)), event);
    assert.throws(() => stripe.webhooks.constructEvent(handled.body + " ", handled.headers["stripe-signature"], secret));
    assert.deepEqual((await source.messages()).map(({ eventType }) => eventType), [type]);
    const other = stripe.webhooks.generateTestHeaderString({ payload: body, secret: "whsec_other" });
    assert.equal((await source.knock({ ...JSON_TYPE, "stripe-signature": other }, body)).status, 401);
    const old = stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: 1_700_000_000 });
    assert.equal((await source.knock({ ...JSON_TYPE, "stripe-signature": old }, body)).status, 401);
  }
});

test("what we and Slack's own verifier believe of Slack is the same", async () => {
  const signingSecret = "8f742231b10e8888abcd99yyyzzz85a5";
  const source = await sourceOf("slack", { secret: signingSecret });
  const body = JSON.stringify({
    type: "event_callback",
    event_id: "Ev0PV52K25",
    event: { type: "reaction_added", user: "U061F7AUR", reaction: "thumbsup", text: "Zoë & <co>" },
  });
  const signed = (text, timestamp, secret = signingSecret) => {
    const tag = createHmac("sha256", secret).update(`v0:${timestamp}:${text}`).digest("hex");
    return { ...JSON_TYPE, "x-slack-request-timestamp": String(timestamp), "x-slack-signature": `v0=${tag}` };
  };
  const believedBySlack = (headers, text) => {
    const timestamp = Number(headers["x-slack-request-timestamp"]);
    try {
      verifySlackRequest({ signingSecret, body: text, headers: { ...headers, "x-slack-request-timestamp": timestamp } });
      return true;
    } catch {
      return false;
    }
  };
  const now = Math.floor(Date.now() / 1000);
  const good = signed(body, now);
  const handled = await taken(source, good, body);
  assert.ok(believedBySlack(handled.headers, handled.body.toString("utf8")));
  assert.deepEqual((await source.messages()).map(({ eventType }) => eventType), ["reaction_added"]);
  const cases = [
    [good, body],
    [good, body + "\n"],
    [signed(body, now, "another secret"), body],
    [signed(body, now - 400), body],
    [signed(body, now - 200), body],
    [{ ...good, "x-slack-signature": good["x-slack-signature"].replace("v0", "v1") }, body],
    [{ ...good, "x-slack-signature": "v0=" }, body],
    [{ ...good, "x-slack-request-timestamp": String(now - 1) }, body],
  ];
  for (const [headers, text] of cases) {
    const { status } = await source.knock(headers, text);
    assert.equal(status === 200, believedBySlack(headers, text), JSON.stringify([headers, text]));
  }
});

test("Twilio's library signs a form and a JSON body, and believes them at the handler", async () => {
  const token = "12345abcdef67890";
  const parameters = { CallSid: "CA1234567890ABCDE", Digits: "1234", Body: "Zoë & co", To: ["+18005551212", "+1", "+1"] };
  const form = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
  const body = new URLSearchParams(Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((v) => [name, v])));
  for (const query of ["", "?account=a%20b&x='1'"]) {
    const source = await sourceOf("twilio", { secret: token });
    const url = source.ingestUrl + query;
    const signature = twilio.getExpectedTwilioSignature(token, url, parameters);
    const headers = { ...form, "x-twilio-signature": signature };
    const handled = await taken(source, headers, body.toString(), query);
    assert.equal(handled.url, "/hook" + query);
    const read = {};
    for (const [name, value] of new URLSearchParams(handled.body.toString())) {
      read[name] = name in read ? [read[name], value].flat() : value;
    }
    assert.ok(twilio.validateRequest(token, handled.headers["x-twilio-signature"], url, read));
    assert.equal((await source.knock(headers, body.toString(), "?x=2")).status, 401);
  }
  const source = await sourceOf("twilio", { secret: token });
  const json = JSON.stringify({ event: "Zoë" });
  const query = `?bodySHA256=${twilio.getExpectedBodyHash(json)}`;
  const url = source.ingestUrl + query;
  const signature = twilio.getExpectedTwilioSignature(token, url, {});
  const handled = await taken(source, { ...JSON_TYPE, "x-twilio-signature": signature }, json, query);
  const theirs = handled.headers["x-twilio-signature"];
  assert.ok(twilio.validateRequestWithBody(token, theirs, url, handled.body.toString("utf8")));
});

const SECRET = "whsec_" + Buffer.from("a secret of the sender's own").toString("base64");
const LIBRARIES = [
  ["standardwebhooks", standard.Webhook, "standard-webhooks", "webhook"],
  ["svix", svix.Webhook, "svix", "svix"],
  ["svix, for Resend,", svix.Webhook, "resend", "svix"],
  ["svix, for Clerk,", svix.Webhook, "clerk", "svix"],
  ["standardwebhooks, for OpenAI,", standard.Webhook, "open-ai", "webhook"],
];

for (const [library, Library, type, names] of LIBRARIES) {
  test(`the library ${library} signs what we believe and believes what reaches the handler`, async () => {
    const source = await sourceOf(type, { secret: SECRET });
    const body = JSON.stringify({ type: "user.created", data: { name: "Zoë", n: 1e21 } }, null, 1);
    const now = new Date();
    const signer = new Library(SECRET);
    const id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
    const headers = {
      ...JSON_TYPE,
      [`${names}-id`]: id,
      [`${names}-timestamp`]: String(Math.floor(now.getTime() / 1000)),
      [`${names}-signature`]: signer.sign(id, now, body),
    };
    const handled = await taken(source, headers, body);
    const theirs = {};
    for (const part of ["id", "timestamp", "signature"]) {
      theirs[`${names}-${part}`] = handled.headers[`posthaste-original-${names}-${part}`];
      assert.equal(theirs[`${names}-${part}`], headers[`${names}-${part}`]);
    }
    signer.verify(handled.body, theirs);
    assert.throws(() => signer.verify(handled.body + " ", theirs));
    assert.deepEqual((await source.messages()).map(({ eventType }) => eventType), ["user.created"]);
  });
}
