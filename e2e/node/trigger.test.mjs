// An Express handler that verifies with each provider's own library believes every event that is triggered at it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { load } from "./support.mjs";

const express = load("express");
const { Webhooks } = load("@octokit/webhooks");
const Stripe = load("stripe");
const twilio = load("twilio");
const { verifySlackRequest } = load("@slack/bolt");
const standard = load("standardwebhooks");
load("@shopify/shopify-api/adapters/node");
const { shopifyApi, LATEST_API_VERSION, ApiVersion } = load("@shopify/shopify-api");

const BINARY = process.env.POSTHASTE_BIN ?? "target/debug/posthaste";
const DEADLINE_MS = 20_000;
const SECRET = `whsec_${Buffer.from("a secret for trying out a receiver").toString("base64")}`;

const octokit = new Webhooks({ secret: SECRET });
const stripe = new Stripe("sk_test_none");
const shopify = shopifyApi({
  apiKey: "key", apiSecretKey: SECRET, hostName: "127.0.0.1", isEmbeddedApp: false,
  apiVersion: LATEST_API_VERSION ?? Object.values(ApiVersion).at(-1),
  logger: { log: () => {} },
});

// Each throws, or says false, unless its library believes the request.
const judges = {
  github: (request) => octokit.verify(request.body.toString(), request.get("x-hub-signature-256")),
  stripe: (request) => stripe.webhooks.constructEvent(request.body, request.get("stripe-signature"), SECRET).id,
  slack(request) {
    verifySlackRequest({ signingSecret: SECRET, body: request.body.toString(), headers: request.headers });
    return true;
  },
  twilio(request) {
    const url = `http://${request.get("host")}${request.originalUrl}`;
    const fields = Object.fromEntries(new URLSearchParams(request.body.toString()));
    return twilio.validateRequest(SECRET, request.get("x-twilio-signature"), url, fields);
  },
  "standard-webhooks": (request) => new standard.Webhook(SECRET).verify(request.body.toString(), request.headers),
  async shopify(request) {
    const judged = await shopify.webhooks.validate({ rawBody: request.body.toString(), rawRequest: request, rawResponse: {} });
    if (!judged.valid) throw new Error(judged.reason);
    return judged.topic;
  },
};

let server;
const believed = {};

before(async () => {
  const app = express();
  app.post("/:provider", express.raw({ type: () => true }), async (request, response) => {
    const { provider } = request.params;
    try {
      if (!(await judges[provider](request))) throw new Error("it says no");
      believed[provider] = (believed[provider] ?? 0) + 1;
      response.send("ok");
    } catch (error) {
      response.status(400).send(String(error));
    }
  });
  server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
});
after(() => {
  server.close();
  server.closeAllConnections();
});

async function run(...args) {
  try {
    const { stdout, stderr } = await promisify(execFile)(BINARY, args, { timeout: DEADLINE_MS });
    return { code: 0, stdout, stderr };
  } catch ({ code, stdout, stderr }) {
    return { code, stdout, stderr };
  }
}

for (const provider of Object.keys(judges)) {
  test(`${provider}'s own library believes every event`, async () => {
    const { stdout } = await run("trigger", provider, "--list");
    const events = stdout.trim().split("\n").filter((line) => !line.includes("handshake"));
    assert.ok(events.length >= 6, stdout);
    const to = `:${server.address().port}/${provider}?a=1`;
    for (const event of events) {
      const done = await run("trigger", event, "--to", to, "--secret", SECRET);
      assert.equal(done.code, 0, `${event}: ${done.stderr}`);
    }
    assert.equal(believed[provider], events.length);
    const refused = await run("trigger", events[0], "--to", to, "--secret", "whsec_bm90IHRoZSBzZWNyZXQgYXQgYWxsLCBubw==");
    assert.equal(refused.code, 9, refused.stderr);
  });
}
