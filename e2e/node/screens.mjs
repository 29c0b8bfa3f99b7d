// Every page from sample data, in both themes and two widths, as pictures in the directory that is named.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pagesOfCustomers, pagesOfOperators, sample } from "./sample.mjs";
import { load, startPosthaste, startReceiver } from "./support.mjs";

const { chromium } = load("playwright-core");
const BROWSER = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);
const WIDTHS = [1280, 380];
const into = process.argv[2] ?? "target/screens";
const only = process.argv[3] ?? "";

rmSync(into, { recursive: true, force: true });
mkdirSync(into, { recursive: true });
const [posthaste, receiver, failing] = [await startPosthaste(), await startReceiver(), await startReceiver()];
failing.answersWith(...Array(500).fill(503));
const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
let taken = 0;

async function take(page, name, theme, width) {
  await page.screenshot({ path: join(into, `${name}-${theme}-${width}.png`), fullPage: true });
  taken++;
}

async function takeAll(page, pages, theme, width) {
  for (const [name, path] of Object.entries(pages).filter(([name]) => name.includes(only))) {
    await page.goto(posthaste.url + path);
    await take(page, name, theme, width);
  }
}

async function takeAttempt(page, messagePath, name, theme, width) {
  if (!name.includes(only)) return;
  await page.goto(posthaste.url + messagePath);
  await page.locator(".tries a").first().click();
  await page.getByRole("heading", { name: "Attempt" }).waitFor();
  await take(page, name, theme, width);
}

try {
  const made = await sample(posthaste, receiver, failing);
  for (const theme of ["light", "dark"]) {
    for (const width of WIDTHS) {
      const context = await browser.newContext({ colorScheme: theme, viewport: { width, height: 800 } });
      const page = await context.newPage();
      await takeAll(page, { login: "/ui/login" }, theme, width);
      await page.goto(`${posthaste.url}/ui/login`);
      await page.getByLabel("Token").fill(posthaste.token);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.waitForURL("**/ui");
      const pages = pagesOfOperators(made);
      await takeAll(page, pages, theme, width);
      await takeAttempt(page, pages.message, "attempt", theme, width);
      await page.goto(made.link.replace("/login?", `/login?darkMode=${theme === "dark"}&`).replace("/login#", `/login?darkMode=${theme === "dark"}#`));
      await page.waitForURL("**/portal/s/**");
      await takeAll(page, pagesOfCustomers(new URL(page.url()).pathname, made), theme, width);
      await context.close();
    }
  }
  console.log(`${taken} pictures in ${into}`);
} finally {
  await browser.close();
  receiver.close();
  failing.close();
  await posthaste.stop();
}
