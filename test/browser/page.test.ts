// The page as static files, on a host without isolation headers, with kelix-nano in the browser.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, PAGE_ARGS } from "./chromium.ts";
import { OpenPage, octopus, rocket, root } from "./open-page.ts";
import { tour } from "./page-tour.ts";
import { type Site, serve } from "./site.ts";

let folder: string;
let site: Site;
let browser: Browser;
let context: BrowserContext;
let own: OpenPage;
const address = (host = "127.0.0.1") => `http://${host}:${site.port}/plain/page/index.html`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-page-"));
  await promisify(execFile)(process.execPath, [join(root, "scripts/build-page.mjs"), folder]); // as `npm run page`
  site = await serve("", { "/page/": folder });
  browser = await launchChromium(PAGE_ARGS);
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  own = await OpenPage.at(address(), context);
  await own.ready();
});

afterAll(async () => {
  await browser?.close();
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

tour("browser", () => own);

test("code view: says which positions a word depends on", async () => {
  const { page } = own;
  await page.getByRole("tab", { name: "Where a word looked" }).click();
  await own.button("Look").click();
  await page.locator(".word").first().waitFor();
  const heats = await page
    .locator(".main .cell")
    .evaluateAll((all) => all.map((cell) => (cell as HTMLElement).style.background));
  expect(new Set(heats).size).toBeGreaterThan(5);
  expect(await own.barriers()).toEqual([]);
  await own.shoot("browser-word");
});

test("dark, and on a phone, nothing serious stands in the way", async () => {
  const { page } = own;
  await own.button("Dark").click();
  for (const name of ["Chat", "Imagine", "Codes"]) {
    await own.view(name);
    expect(await own.barriers(), name).toEqual([]);
    await own.shoot(`dark-${name.toLowerCase()}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  for (const name of ["Chat", "Imagine", "Codes"]) {
    await own.view(name);
    const width = await page.evaluate("document.documentElement.scrollWidth");
    expect(width, name).toBeLessThanOrEqual(390);
    await own.shoot(`phone-${name.toLowerCase()}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await own.button("Light").click();
});

test("takes images by drop, by paste and from the camera; what is no image is refused in a sentence", async () => {
  const { page } = own;
  await own.view("Chat");
  await own.button("New conversation").click();
  const give = async (kind: "drop" | "paste", name: string, type: string) => {
    const bytes = [...(await readFile(name.endsWith(".png") ? octopus : join(root, "package.json")))];
    await page.locator(kind === "drop" ? ".talk" : "#message").evaluate(
      (target, { kind, name, type, bytes }) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
        const init = { bubbles: true, cancelable: true };
        target.dispatchEvent(
          kind === "drop"
            ? new DragEvent("drop", { ...init, dataTransfer: data })
            : new ClipboardEvent("paste", { ...init, clipboardData: data }),
        );
      },
      { kind, name, type, bytes },
    );
  };
  const given = page.getByRole("list", { name: "Images of your message" }).getByRole("img");
  await give("drop", "octopus.png", "image/png");
  await give("paste", "octopus.png", "image/png");
  await expect.poll(() => given.count()).toBe(2);
  await give("drop", "package.json", "application/json");
  await page.getByText(/package\.json is no PNG, JPEG or WebP/).waitFor();
  expect(await given.count()).toBe(2);
  await own.button("Remove image 2").click();
  await own.button("Camera").click();
  await own.button("Take the photo").click();
  await expect.poll(() => given.count()).toBe(2);
  await own.button("Remove image 1").click();
  const answer = await own.ask("What is this?"); // Chromium's test image
  expect(await own.textOf(answer)).toMatch(/\w/);
});

test("history goes out as a file and comes in again; what is no such file is refused in a sentence", async () => {
  const { page } = own;
  const history = page.getByRole("navigation", { name: "Conversations" });
  const entries = history.locator("li");
  const count = await entries.count();
  const file = await own.download(own.button("Export"));
  for (let left = count; left > 0; left--) {
    await history
      .getByRole("button", { name: /^Delete/ })
      .first()
      .click();
    await expect.poll(() => entries.count()).toBe(left - 1);
  }
  await page.getByLabel("File of conversations").setInputFiles(file);
  await page.getByText(`Imported ${count} conversations.`).waitFor();
  await own.reload(); // from what was kept
  await history.getByRole("button", { name: "Draw a red circle." }).first().click();
  const drawn = page.getByAltText("Drawn by the model").first();
  expect(await own.pixels(drawn)).toContain(",");
  await page.getByLabel("File of conversations").setInputFiles(rocket);
  await page.getByText(/This file holds no conversations/).waitFor();
});

test("full storage is told in a sentence, and the conversation goes on", async () => {
  // In a context of its own: Chromium remembers for half a minute that there was room.
  const context = await browser.newContext();
  const own = await OpenPage.at(address(), context);
  await own.ready();
  const session = await context.newCDPSession(own.page);
  const { origin } = new URL(own.page.url());
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1000 });
  await own.ask("What is this?", rocket);
  await own.page.getByText(/storage for this page is full: export conversations/).waitFor({ timeout: 20_000 });
  await context.close();
});

/** Workers of the page, those of workers among them. */
async function countWorkers(): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { targetInfos } = await session.send("Target.getTargets");
  await session.detach();
  return targetInfos.filter(({ type }) => type === "worker").length;
}

test("runs in one thread, and in two after one reload, which isolates the page", async () => {
  const before = await countWorkers();
  const other = await OpenPage.at(address(), await browser.newContext());
  await other.ready();
  expect(await other.page.evaluate("crossOriginIsolated")).toBe(false);
  expect(await countWorkers()).toBe(before + 1); // the page's
  let loads = 0;
  other.page.on("load", () => loads++);
  await other.set({ Threads: "2" });
  // `waitForFunction` would evaluate text in the page, which its security policy forbids; between two pages there is none to ask.
  const isIsolated = () => other.page.evaluate("crossOriginIsolated").catch(() => false);
  await expect.poll(isIsolated, { timeout: 30_000 }).toBe(true);
  await other.ready();
  expect(await other.textOf(await other.ask("What is this?", rocket))).toBe("a rocket");
  expect(await countWorkers()).toBe(before + 2); // and one of its own, which computes beside it
  expect(loads).toBe(1);
  await other.page.context().close();
});

test("on an insecure origin it says what is missing, and answers all the same", async () => {
  const other = await OpenPage.at(address("kelix.test"), await browser.newContext());
  await other.page.getByText(/This address is not secure.*open the page over https/).waitFor();
  await other.button("Camera").click();
  await other.page.getByText(/no camera to a page over plain http/).waitFor();
  await other.set({ Threads: "2" });
  await other.button("Settings").click();
  await other.page.getByText(/so one thread is used: open it over https/).waitFor();
  await other.button("Done").click();
  await other.ready();
  expect(await other.textOf(await other.ask("What is this?", rocket))).toBe("a rocket");
  await other.page.context().close();
});

/** The page without its model, where what it says does not depend on one. It has said so, and says nothing more by itself. */
async function openBare(browser: Browser): Promise<OpenPage> {
  const context = await browser.newContext();
  await context.route("**/kelix-nano/**", (route) => route.abort());
  const bare = await OpenPage.at(address(), context);
  await bare.page.getByText(/does not give the model's files: try again, or check/).waitFor();
  return bare;
}

test.each([
  ["is not allowed", ["--use-fake-device-for-media-stream"], /was not allowed: allow it in the browser's settings/],
  ["is not there", [], /has no camera: choose a file instead/],
])("a camera that %s is told in a sentence", async (_, args, sentence) => {
  const bare = await launchChromium(args);
  const { page, button } = await openBare(bare);
  await button("Camera").click();
  await page.getByText(sentence).waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);
  await bare.close();
});

test("a browser without WebGPU is told so in the settings, and where it was chosen", async () => {
  const other = await openBare(browser);
  await other.button("Settings").click();
  await other.page.getByText(/has no WebGPU here, so WebAssembly is used.*turn on hardware acceleration/).waitFor();
  expect(await other.page.getByLabel("Computes on").inputValue()).toBe("auto");
  await other.page.evaluate(() => localStorage.setItem("kelix.computesOn", '"webgpu"'));
  await other.page.reload();
  await other.page.getByText(/has no WebGPU here: choose .* in the settings/).waitFor();
  await other.page.context().close();
});

test("a model that cannot be fetched, and a server that is not there, are told in a sentence", async () => {
  const context = await browser.newContext();
  await context.route("**/kelix-nano/files.json", (route) => route.fulfill({ status: 404 }));
  const other = await OpenPage.at(address("kelix.test"), context);
  await other.page.getByText(/has no files\.json/).waitFor();
  await other.page.getByText("Server", { exact: true }).click();
  await other.page.getByText(/Is it a Kelix server\?/).waitFor();
  await context.close();
});

test("stays within its budgets, and threw nothing", async () => {
  const assets = await readdir(join(folder, "assets"));
  const sizeOf = async (name: RegExp) => {
    const files = assets.filter((file) => name.test(file));
    expect(files.length).toBeGreaterThan(0);
    const sizes = files.map(async (file) => gzipSync(await readFile(join(folder, "assets", file))).length);
    return (await Promise.all(sizes)).reduce((a, b) => a + b);
  };
  expect(await sizeOf(/^index-.*\.js$/)).toBeLessThanOrEqual(60_000);
  expect(await sizeOf(/^worker-.*\.js$/)).toBeLessThanOrEqual(150_000);
  const html = await readFile(join(folder, "index.html"), "utf8");
  expect(html.match(/\.js"/g)).toHaveLength(1); // nothing else is loaded before the first paint
  expect(own.faults).toEqual([]);
});

test("works offline after the first visit", async () => {
  const { page } = own;
  await page.evaluate("navigator.serviceWorker.ready.then(() => 0)");
  await site.close(); // Playwright's offline mode leaves service workers online
  await page.goto(`${address()}#chat`);
  await own.reload();
  expect(await page.evaluate("crossOriginIsolated")).toBe(true);
  expect(await own.textOf(await own.ask("What is this?", rocket))).toBe("a rocket");
});
