// The vocabulary of the end-to-end tests: a running Posthaste and a receiver.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const DEADLINE_MS = 20_000;

// Packages come from the environment that the caller chose: one a generation of the SDK.
export const load = createRequire(join(process.env.NODE_ENV_DIR ?? ".", "package.json"));

export async function startPosthaste() {
  const dir = mkdtempSync(join(tmpdir(), "posthaste-e2e-"));
  const binary = process.env.POSTHASTE_BIN ?? "target/debug/posthaste";
  const child = spawn(binary,
    ["serve", "--listen", "127.0.0.1:0", "--data-dir", dir], {
      env: { ...process.env, POSTHASTE_ALLOW_TARGETS: "127.0.0.0/8", POSTHASTE_RETRY_SCHEDULE: "1ms,1ms", POSTHASTE_LOG: "warn" },
      stdio: ["ignore", "inherit", "pipe"],
    });
  const said = [];
  let url;
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (line.includes("listening on ")) {
      url = line.split("listening on ")[1].trim();
      break;
    }
  }
  if (!url) throw new Error(`the server did not start: ${said.join("\n")}`);
  child.stderr.resume();
  const token = readFileSync(join(dir, "admin-token"), "utf8").trim();
  return {
    url,
    token,
    // Another command on the same data.
    run: async (...args) => (await promisify(execFile)(binary, [...args, "--data-dir", dir, "--listen", new URL(url).host])).stdout.trim(),
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
      rmSync(dir, { recursive: true });
    },
  };
}

export async function startReceiver() {
  const requests = [];
  const waiting = new Set();
  const answers = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { method, url, headers, rawHeaders } = request;
      requests.push({ method, url, headers, rawHeaders, body: Buffer.concat(chunks) });
      response.writeHead(answers.shift() ?? 200).end("ok");
      for (const check of waiting) check();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    answersWith: (...statuses) => answers.push(...statuses),
    got: (count) => new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${requests.length} of ${count} requests came`)), DEADLINE_MS);
      const check = () => {
        if (requests.length < count) return;
        clearTimeout(late);
        waiting.delete(check);
        resolve(requests);
      };
      waiting.add(check);
      check();
    }),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

// One call of the API; fails unless it is answered 2xx.
export async function call(posthaste, method, path, body) {
  const answer = await fetch(posthaste.url + path, {
    method,
    body: body && JSON.stringify(body),
    headers: { authorization: `Bearer ${posthaste.token}`, "content-type": "application/json" },
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

// The URL, headers and bytes as they are, which `fetch` and `URL` would mend.
export function knock(url, headers, body, method = "POST") {
  const [, hostname, port, path] = /^http:\/\/([^/:]+):(\d+)(.*)$/.exec(url);
  return new Promise((resolve, reject) => {
    const options = { hostname, port, path, method, headers, timeout: DEADLINE_MS };
    const request = httpRequest(options, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

// A source, and the handler behind it.
export async function newSource(posthaste, type, config, fields = {}) {
  const handler = await startReceiver();
  const path = "/ingest/api/v1/source";
  const source = await call(posthaste, "POST", path, { name: `A source of ${type}`, type, config, ...fields });
  const endpoint = await call(posthaste, "POST", `${path}/${source.id}/endpoint`, { url: handler.url });
  const { key } = await call(posthaste, "GET", `${path}/${source.id}/endpoint/${endpoint.id}/secret`);
  return {
    ...source,
    key,
    handler,
    knock: (headers, body, query = "") => knock(source.ingestUrl + query, headers, body),
    async messages() {
      const all = [];
      for (let iterator = ""; ; ) {
        const page = await call(posthaste, "GET", `/api/v1/app/${source.appId}/msg?limit=250&with_content=false${iterator}`);
        all.push(...page.data);
        if (page.done) return all;
        iterator = `&iterator=${encodeURIComponent(page.iterator)}`;
      }
    },
  };
}
