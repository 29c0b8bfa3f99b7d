// Sample data of a shop's webhooks, and every page that shows some of it.
import { createHmac } from "node:crypto";
import { call } from "./support.mjs";

const ORDER = {
  type: "object",
  title: "Order",
  required: ["id", "total"],
  properties: {
    id: { type: "string", description: "The order" },
    total: { type: "integer", description: "In cents" },
    currency: { type: "string", enum: ["EUR", "USD"] },
    lines: { type: "array", items: { type: "object", properties: { sku: { type: "string" }, count: { type: "integer" } } } },
  },
  examples: [{ id: "ord_1", total: 4200, currency: "EUR", lines: [{ sku: "mug", count: 2 }] }],
};

const order = (n) => ({
  id: `ord_${1000 + n}`, total: 990 + n * 7, currency: "EUR", paid: n % 3 > 0,
  customer: { id: `cus_${n % 7}`, name: "Zoë Köhler", note: "<b>ring twice</b>" },
  lines: [{ sku: "mug", count: 1 + (n % 4) }, { sku: "tee-L", count: 1 }],
});

/** Something of everything. `receiver` is well, `failing` answers 503. Returns what pages are about. */
export async function sample(posthaste, receiver, failing) {
  const api = (...asked) => call(posthaste, ...asked);
  for (const [name, description] of [["order.paid", "Money has arrived."], ["order.shipped", "A parcel left."], ["user.deleted", ""]]) {
    await api("POST", "/api/v1/event-type", { name, description, schemas: { 1: ORDER } });
  }
  for (const [uid, name] of [["acme", "Acme Books"], ["globex", "Globex"], ["umbrella", "Umbrella & Söhne GmbH"]]) {
    await api("POST", "/api/v1/app", { uid, name });
  }
  const make = (body) => api("POST", "/api/v1/app/acme/endpoint", body);
  const well = await make({ url: receiver.url, description: "The shop's own handler", rateLimit: 50 });
  const unwell = await make({ url: failing.url, description: "An older system", filterTypes: ["order.paid", "order.shipped"] });
  await make({ url: `${receiver.url}/archive`, filterTypes: ["user.deleted"], disabled: true });
  await api("POST", `/api/v1/app/acme/endpoint/${well.id}/secret/rotate`, {});
  await api("POST", "/api/v1/app/globex/endpoint", { url: receiver.url });
  let message;
  for (let n = 0; n < 40; n++) {
    const eventType = ["order.paid", "order.shipped", "user.deleted"][n % 3];
    message = await api("POST", `/api/v1/app/${n % 5 ? "acme" : "globex"}/msg`, { eventType, payload: order(n), tags: n % 4 ? [] : ["eu"], eventId: `evt-${n}` });
  }
  message = await api("POST", "/api/v1/app/acme/msg", { eventType: "order.paid", payload: order(99), eventId: "evt-99" });
  const shop = await api("POST", "/ingest/api/v1/source", { uid: "code", name: "Code reviews", type: "github", config: { secret: "hush" } });
  const sign = (secret, body) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  for (const [n, secret] of ["hush", "hush", "wrong", "hush"].entries()) {
    const body = JSON.stringify({ action: "opened", number: n });
    const headers = { "x-hub-signature-256": sign(secret, body), "x-github-event": "pull_request", "x-github-delivery": `${n}` };
    await fetch(shop.ingestUrl, { method: "POST", body, headers });
  }
  const bin = await api("POST", "/ingest/api/v1/source", { uid: "try", name: "try", type: "bin" });
  for (const [path, body] of [["/hello?a=1&b=2", '{"hello":"world"}'], ["/form", new URLSearchParams({ name: "Zoë", size: "L" })], ["", Buffer.from([0, 255, 1, 2])]]) {
    await fetch(bin.ingestUrl + path, { method: "POST", body });
  }
  const { url: link } = await api("POST", "/api/v1/auth/app-portal-access/acme", {});
  const { catalogueUrl } = await api("PATCH", "/api/posthaste/v1/portal", { publicCatalogue: true });
  const job = await api("POST", `/api/v1/app/acme/endpoint/${unwell.id}/recover`, { since: new Date(Date.now() - 86_400_000).toISOString() });
  return { well, unwell, message, shop, bin, link, catalogueUrl, job };
}

/** Every page of operators about it: its name and where it is. */
export function pagesOfOperators({ well, unwell, message, catalogueUrl, job }) {
  const acme = "/ui/apps/acme";
  return {
    overview: "/ui",
    "overview-hour": "/ui?period=1h",
    "find-messages": "/ui/messages",
    endpoints: "/ui/endpoints",
    "endpoints-failing": "/ui/endpoints?state=failing",
    applications: "/ui/apps",
    application: acme,
    endpoint: `${acme}/endpoints/${well.id}`,
    "endpoint-failing": `${acme}/endpoints/${unwell.id}`,
    messages: `${acme}/messages`,
    "messages-failed": `${acme}/messages?state=failed&event_type=order.*`,
    "messages-none": `${acme}/messages?payload=no.such%3D1`,
    resend: `${acme}/messages/resend?state=failed`,
    edit: `${acme}/messages/${message.id}/edit`,
    recover: `${acme}/endpoints/${unwell.id}/recover?hours=24`,
    message: `${acme}/messages/${message.id}`,
    "event-types": "/ui/event-types",
    sources: "/ui/sources",
    source: "/ui/sources/code",
    "source-rejected": "/ui/sources/code/rejected",
    "source-settings": "/ui/sources/code/settings",
    "source-new": "/ui/sources/new",
    "source-new-stripe": "/ui/sources/new?type=stripe",
    bins: "/ui/bins",
    bin: "/ui/bins/try",
    "bin-settings": "/ui/bins/try/settings",
    simulator: "/ui/simulator",
    listeners: "/ui/listeners",
    jobs: "/ui/jobs",
    job: `/ui/jobs/${job.id}`,
    api: "/ui/api",
    "api-operation": "/ui/api/v1.message.create",
    tokens: "/ui/tokens",
    "portal-links": `${acme}/access`,
    settings: "/ui/settings",
    "settings-network": "/ui/settings/network?target=10.0.0.5",
    "settings-server": "/ui/settings/server",
    catalogue: new URL(catalogueUrl).pathname,
    "not-found": "/ui/apps/not-there",
  };
}

/** Every page of a customer, behind what their link leads to. */
export function pagesOfCustomers(home, { well, message }) {
  const base = home.slice(0, home.indexOf("/apps/"));
  return {
    portal: home,
    "portal-endpoint": `${home}/endpoints/${well.id}`,
    "portal-messages": `${home}/messages`,
    "portal-message": `${home}/messages/${message.id}`,
    "portal-event-types": `${base}/event-types`,
  };
}
