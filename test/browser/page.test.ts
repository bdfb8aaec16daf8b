// The page in Chromium: built, served as a static folder without isolation headers, with kelix-nano in a worker; and against the real server.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPage } from "../../scripts/build-page.mjs";
import { type Site, serve } from "./site.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const rocket = join(root, "data/heldout/demo/rocket.png");
const octopus = join(root, "data/heldout/demo/octopus.png");
/** Where screenshots go, if anywhere. */
const shots = process.env.KELIX_SCREENSHOTS;

let folder: string;
let site: Site;
let browser: Browser;
let context: BrowserContext;
let page: Page;
const faults: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-page-"));
  await buildPage(folder);
  site = await serve("", { "/page/kelix-nano/": join(root, "models/kelix-nano"), "/page/": folder });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--host-resolver-rules=MAP kelix.test 127.0.0.1"],
  });
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  page = await context.newPage();
  page.setDefaultTimeout(120_000);
  page.on("pageerror", ({ message }) => faults.push(message));
  await page.goto(`http://127.0.0.1:${site.port}/plain/page/index.html`);
  await ready(page);
});

afterAll(async () => {
  await browser?.close();
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

const ready = (own: Page) => own.locator(".state", { hasText: "kelix-nano" }).waitFor();
const button = (name: string | RegExp) => page.getByRole("button", { name });
const view = (name: string) => page.getByRole("navigation", { name: "Views" }).getByRole("link", { name }).click();
const srcOf = (own: Page, selector: string) => own.locator(selector).getAttribute("src");

async function shoot(name: string): Promise<void> {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

/** What axe finds serious, as sentences. */
async function findBarriers(): Promise<string[]> {
  await page.evaluate(await readFile(join(root, "node_modules/axe-core/axe.min.js"), "utf8"));
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations } = await axe.run(document);
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`);
  });
}

/** Answers to so many questions stand in the log. */
const answers = (count: number) =>
  page
    .locator(".message.assistant .timing")
    .nth(count - 1)
    .waitFor();

test("answers a question about an image, and again as a branch", async () => {
  await page.getByLabel("Image files").setInputFiles(rocket);
  await page.getByLabel("Message", { exact: true }).fill("What is this?");
  await page.keyboard.press("Enter");
  await answers(1);
  const answer = page.locator(".message.assistant");
  expect(await answer.locator(".markdown").innerText()).toBe("a rocket");
  expect(await answer.locator(".timing").innerText()).toMatch(/[\d.]+ tokens\/s, [\d.]+ s/);
  await button("Regenerate").click();
  await page.getByText("2 of 2").waitFor();
  await button("Earlier version").click();
  await page.getByText("1 of 2").waitFor();
  expect(await answer.locator(".markdown").innerText()).toBe("a rocket");
});

test("an edited question becomes a branch, and history finds it after a reload", async () => {
  await button("Edit").click();
  await page.getByLabel("Your message").fill("Describe the picture.");
  await page.locator("form.edit").getByRole("button", { name: "Send" }).click();
  await page.locator(".message.user").getByText("2 of 2").waitFor();
  await answers(1);
  await shoot("chat-light");
  await page.reload();
  await ready(page);
  await page.getByRole("searchbox").fill("a rocket");
  await page
    .getByRole("navigation", { name: "Conversations" })
    .getByRole("button", { name: "What is this?", exact: true })
    .click();
  await answers(1);
  await page.getByRole("searchbox").fill("nobody said that");
  await page.getByText("Nothing says that.").waitFor();
  await page.getByRole("searchbox").fill("");
});

test("imagines with previews, and the same seed again gives the same pixels", async () => {
  await view("Imagine");
  await page.getByLabel("Images", { exact: true }).fill("1");
  await button("Draw").click();
  await page.locator(".card img.preview").first().waitFor();
  await page.locator(".card").first().getByRole("button", { name: "Again" }).waitFor();
  const pixels = (at: number) =>
    page
      .locator(".card img")
      .nth(at)
      .evaluate(async (image: HTMLImageElement) => {
        await image.decode();
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        const own = canvas.getContext("2d")!;
        own.drawImage(image, 0, 0);
        return [...own.getImageData(0, 0, canvas.width, canvas.height).data].join();
      });
  const first = await pixels(0);
  await button("Again").click();
  await page.locator(".card .actions").nth(1).waitFor();
  expect(await pixels(0)).toBe(first);
  expect(await findBarriers()).toEqual([]);
  await shoot("imagine-light");
});

test("code view: a flipped code changes the image, and is put back", async () => {
  await page.locator(".card").first().getByRole("button", { name: "Codes" }).click();
  await page.getByRole("gridcell").nth(35).waitFor();
  const image = ".main .code-grid img";
  await page.getByText("Reading its codes").waitFor({ state: "hidden" });
  const before = await srcOf(page, image);
  await page.getByRole("gridcell", { name: "Row 2, column 3" }).click();
  await page.getByRole("heading", { name: "Row 2, column 3" }).waitFor();
  await page.getByLabel("Codebook 1", { exact: true }).fill("7");
  await page.waitForFunction(
    ([own, old]) => document.querySelector(own!)?.getAttribute("src") !== old,
    [image, before],
  );
  await button("Put codes back").click();
  await page.waitForFunction(() => document.querySelectorAll(".books .changed").length === 0);
  await shoot("codes-light");
});

test("code view: differences are counted, and swapped codes change places", async () => {
  await page.getByRole("tab", { name: "Compare and swap" }).click();
  await page.getByLabel("Choose the other image").setInputFiles(octopus);
  const count = page.locator("[role=tabpanel] strong");
  await count.waitFor();
  const differing = Number(await count.innerText());
  expect(differing).toBeGreaterThan(100);
  const cells = page.locator(".code-grid").first().getByRole("gridcell");
  await cells.nth(14).focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await button("Swap 2 positions").click();
  await page.waitForFunction(() => !(document.querySelectorAll(".row button")[1] as HTMLButtonElement).disabled);
  expect(Number(await count.innerText())).toBe(differing); // exchanged, so as many differ
  await button("Wipe").click();
  await shoot("codes-compare");
});

test("code view: painted positions are rewritten, the others keep their codes", async () => {
  await page.getByRole("tab", { name: "Paint and rewrite" }).click();
  const codes = () => page.locator(".main .cell").evaluateAll((cells) => cells.map((cell) => cell.innerHTML));
  const before = await codes();
  for (const at of [20, 21, 26, 27]) await page.locator(".main .cell").nth(at).click();
  await page.getByLabel("What to change").fill("make it green");
  await button("Rewrite 4 positions").click();
  await page.getByText("The painted positions were rewritten").waitFor({ state: "attached" });
  const after = await codes();
  const changed = after.flatMap((cell, at) => (cell === before[at] ? [] : [at]));
  expect(changed.length).toBeGreaterThan(0);
  expect(changed.filter((at) => ![20, 21, 26, 27].includes(at))).toEqual([]);
  await shoot("codes-rewrite");
});

test("code view: says which positions a word depends on", async () => {
  await page.getByRole("tab", { name: "Where a word looked" }).click();
  await button("Look").click();
  await page.locator(".word").first().waitFor();
  const heats = () =>
    page.locator(".main .cell").evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).style.background));
  expect(new Set(await heats()).size).toBeGreaterThan(5);
  expect(await findBarriers()).toEqual([]);
  await shoot("codes-word");
});

test("dark, and on a phone, nothing serious stands in the way", async () => {
  await button("Dark").click();
  await shoot("codes-dark");
  for (const name of ["Chat", "Imagine", "Codes"]) {
    await view(name);
    expect(await findBarriers(), name).toEqual([]);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  for (const name of ["Chat", "Imagine", "Codes"]) {
    await view(name);
    const width = await page.evaluate("document.documentElement.scrollWidth");
    expect(width, name).toBeLessThanOrEqual(390);
    await shoot(`phone-${name.toLowerCase()}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("on an insecure origin it says what is missing, and what to do", async () => {
  const other = await (await browser.newContext()).newPage();
  await other.goto(`http://kelix.test:${site.port}/plain/page/index.html`);
  await other.getByText(/This address is not secure.*open the page over https/).waitFor();
  await other.getByRole("button", { name: "Camera" }).click();
  await other.getByText(/no camera to a page over plain http/).waitFor();
  await other.context().close();
});

test("a model that cannot be fetched, and a server that is not there, are told in a sentence", async () => {
  const other = await (await browser.newContext()).newPage();
  await other.route("**/kelix-nano/files.json", (route) => route.fulfill({ status: 404 }));
  await other.goto(`http://kelix.test:${site.port}/plain/page/index.html`);
  await other.getByText(/has no files\.json/).waitFor();
  await other.getByText("Server", { exact: true }).click();
  await other.getByText(/Is it a Kelix server\?/).waitFor();
  await other.context().close();
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
  expect(faults).toEqual([]);
});

test("works offline after the first visit, and isolated", async () => {
  await page.evaluate("navigator.serviceWorker.ready.then(() => 0)");
  await site.close(); // Playwright's offline mode leaves service workers online
  await page.goto(`http://127.0.0.1:${site.port}/plain/page/index.html#chat`);
  await page.reload();
  await ready(page);
  expect(await page.evaluate("crossOriginIsolated")).toBe(true);
  await page.getByLabel("Image files").setInputFiles(rocket);
  await page.getByLabel("Message", { exact: true }).fill("What is this?");
  await page.keyboard.press("Enter");
  await answers(1);
  expect(await page.locator(".message.assistant .markdown").innerText()).toBe("a rocket");
});
