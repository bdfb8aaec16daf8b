// The page in Chromium, as `kelix serve` gives it out, with kelix-nano in the browser: how soon it is painted, answers and draws. Every
// visit but the first finds page and model in the browser's caches; its question is asked as soon as there is a field for it.

import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { BrowserContext } from "playwright-core";
import { Kelix } from "../../src/index.ts";
import { launchChromium } from "../../test/browser/chromium.ts";
import type { Experiment } from "./experiment.ts";
import { serve } from "./serving/served.ts";

const MODEL = "kelix-nano";
const ROOT = join(import.meta.dirname, "../..");
const IMAGE = join(ROOT, "data/heldout/demo/rocket.png");
const QUESTION = "What is this?";
const PROMPT = "two red circles";
const VISITS = 5;
/** Images of each visit, and of the library in Node. */
const IMAGES = 4;
/** The longest that one step of a visit may take: well over what any takes on a busy machine. */
const STEP_MS = 120_000;
/** What is aimed at, in ms. */
const AIMS = { paintMs: 1000, firstAnswerMs: 1500, nextImageMs: 500 };

export const openedPage: Experiment = {
  name: "page",
  about:
    "the page in Chromium (after npm run build): { visit: { paintMs, readyMs, firstAnswerMs, .. }, firstVisit, node, gzipBytes }",
  async report({ isSmall }, log) {
    const gzipBytes = scriptBytes();
    const nextImageMs = await drawInNode();
    const server = await serve(["--threads", "1"]);
    const browser = await launchChromium();
    try {
      const context = await browser.newContext();
      log("first visit");
      const firstVisit = await visit(context, server.url);
      const visits: Visit[] = [];
      for (let i = 0; i < (isSmall ? 1 : VISITS); i++) {
        log(`visit ${i + 1} from caches`);
        visits.push(await visit(context, server.url));
      }
      const names = Object.keys(visits[0]!) as (keyof Visit)[];
      const middle = Object.fromEntries(names.map((name) => [name, median(visits.map((own) => own[name]))])) as Record<
        keyof Visit,
        number
      >;
      const aims = Object.entries(AIMS) as [keyof typeof AIMS, number][];
      return {
        visit: middle,
        firstVisit,
        node: { nextImageMs },
        timesNode: middle.nextImageMs / nextImageMs,
        gzipBytes,
        missed: aims.filter(([name, most]) => middle[name] > most).map(([name]) => name),
        visits: visits.length,
        chromium: browser.version(),
        load: loadavg()[0],
        cores: availableParallelism(),
        cpu: cpus()[0]?.model,
      };
    } finally {
      await browser.close();
      await server.stop();
    }
  },
};

/** In ms; the first three since the address was opened. */
interface Visit {
  /** First contentful paint. */
  readonly paintMs: number;
  /** The model's files are open. */
  readonly readyMs: number;
  readonly firstAnswerMs: number;
  readonly nextAnswerMs: number;
  readonly firstImageMs: number;
  readonly nextImageMs: number;
}

async function visit(context: BrowserContext, url: string): Promise<Visit> {
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  try {
    await page.addInitScript("globalThis.__name = (own) => own"); // which tsx calls in functions that are sent to the page
    await page.addInitScript(noteTimes);
    await page.goto(url, { waitUntil: "commit" });
    const ask = async () => {
      await page.getByLabel("Image files").setInputFiles(IMAGE);
      await page.getByLabel("Message", { exact: true }).fill(QUESTION);
      await page.keyboard.press("Enter");
    };
    await ask();
    await page.locator(".message.assistant .timing").waitFor();
    const times = await page.evaluate(() => {
      const { seen } = globalThis as unknown as { seen: { ready: number; answer: number } };
      const [paint] = performance.getEntriesByName("first-contentful-paint");
      return { paintMs: paint!.startTime, readyMs: seen.ready, firstAnswerMs: seen.answer };
    });
    await ask();
    const timings = page.locator(".message.assistant .timing");
    await timings.nth(1).waitFor();
    const [, seconds] = /([\d.]+) s$/.exec(await timings.nth(1).innerText())!;
    await page.getByRole("link", { name: "Imagine" }).click();
    await page.getByLabel("What to draw").fill(PROMPT);
    await page.getByLabel("Images", { exact: true }).fill("1");
    const drawnMs: number[] = [];
    for (let i = 0; i < IMAGES; i++) {
      await page.locator(".imagine button.primary", { hasText: "Draw" }).waitFor(); // while the last call ends it says Stop
      drawnMs.push(await within("an image", page.evaluate(draw)));
    }
    await within("the service worker", page.evaluate("navigator.serviceWorker.ready.then(() => undefined)"));
    const [firstImageMs, ...next] = drawnMs;
    return { ...times, nextAnswerMs: 1000 * Number(seconds), firstImageMs: firstImageMs!, nextImageMs: median(next) };
  } finally {
    await page.close();
  }
}

/** In the page: notes when the model is there, and when the first answer is. */
function noteTimes(): void {
  const seen: { ready?: number; answer?: number } = {};
  Object.assign(globalThis, { seen });
  new MutationObserver(() => {
    if (document.querySelector(".state")?.textContent === "kelix-nano") seen.ready ??= performance.now();
    if (document.querySelector(".message.assistant .timing")) seen.answer ??= performance.now();
  }).observe(document, { subtree: true, childList: true, characterData: true });
}

/** In the page: presses the button, and gives the ms until the image is there. */
function draw(): Promise<number> {
  const count = () => document.querySelectorAll(".card .actions").length;
  const [before, beganMs] = [count(), performance.now()];
  document.querySelector<HTMLButtonElement>(".imagine button.primary")!.click();
  return new Promise((resolve) => {
    const look = () => (count() > before ? resolve(performance.now() - beganMs) : requestAnimationFrame(look));
    look();
  });
}

/** Waits for something of the page, but not for ever. */
async function within<T>(what: string, wanted: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const say = () => reject(new Error(`The page: ${what} was not there after ${STEP_MS / 1000} s`));
    timer = setTimeout(say, STEP_MS);
  });
  return Promise.race([wanted, late]).finally(() => clearTimeout(timer));
}

/** JavaScript that the first paint waits for, and the worker's without ONNX Runtime. */
function scriptBytes(): { readonly beforePaint: number; readonly worker: number } {
  const folder = join(ROOT, "dist/web/assets");
  const sizeOf = (name: RegExp) => {
    const files = readdirSync(folder).filter((file) => name.test(file));
    return files.reduce((sum, file) => sum + gzipSync(readFileSync(join(folder, file))).length, 0);
  };
  return { beforePaint: sizeOf(/^index-.*\.js$/), worker: sizeOf(/^worker-.*\.js$/) };
}

/** The same image by the library on its native engine, with as many threads: ms of one that is not the first. */
async function drawInNode(): Promise<number> {
  const kelix = await Kelix.load(MODEL, { threads: 1 });
  const times: number[] = [];
  for (let i = 0; i <= IMAGES; i++) {
    const beganMs = performance.now();
    await kelix.imagine(PROMPT, { seed: i });
    times.push(performance.now() - beganMs);
  }
  await kelix.dispose();
  return median(times.slice(1));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
