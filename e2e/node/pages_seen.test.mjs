// Every page, from sample data, as axe sees it.
import { test } from "node:test";
import { isFineForAll, operator, posthaste, receiver } from "./browser.mjs";
import { pagesOfCustomers, pagesOfOperators, sample } from "./sample.mjs";
import { startReceiver } from "./support.mjs";

test("no page has a serious finding, in either theme, at 380 pixels and at 1200", async (t) => {
  const failing = await startReceiver();
  t.after(() => failing.close());
  failing.answersWith(...Array(500).fill(503));
  const made = await sample(posthaste, receiver, failing);
  const pages = pagesOfOperators(made);
  const visits = async (page, paths) => {
    for (const path of paths) {
      await page.goto(posthaste.url + path);
      await isFineForAll(page);
    }
  };
  for (const [colorScheme, width] of [["light", 1200], ["dark", 380]]) {
    const page = await operator({ colorScheme, viewport: { width, height: 800 } });
    await visits(page, ["/ui/login", "/portal/login", ...Object.values(pages)]);
    await page.goto(posthaste.url + pages.message);
    await page.locator(".tries a").first().click();
    await page.getByRole("heading", { name: "Attempt" }).waitFor();
    await isFineForAll(page);
    await page.goto(made.link);
    await page.waitForURL("**/portal/s/**");
    await visits(page, Object.values(pagesOfCustomers(new URL(page.url()).pathname, made)));
    await page.context().close();
  }
});
