// The page in Chromium, and what a user does there.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Locator, Page } from "playwright-core";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const rocket = join(root, "data/heldout/demo/rocket.png");
export const octopus = join(root, "data/heldout/demo/octopus.png");
/** Where screenshots go, if anywhere. */
const shots = process.env.KELIX_SCREENSHOTS;

export class OpenPage {
  readonly page: Page;
  /** Of the server; the page forgets it when it is reloaded. */
  key: string | undefined;
  /** What the page threw and did not catch. */
  readonly faults: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(120_000);
    page.on("pageerror", ({ message }) => this.faults.push(message));
  }

  static async at(url: string, context: BrowserContext): Promise<OpenPage> {
    const own = new OpenPage(await context.newPage());
    await own.page.goto(url);
    return own;
  }

  /** Waits for the model. */
  ready = () => this.page.locator(".state", { hasText: "kelix-nano" }).waitFor();

  button = (name: string | RegExp) => this.page.getByRole("button", { name });

  view = (name: string) =>
    this.page.getByRole("navigation", { name: "Views" }).getByRole("link", { name, exact: true }).click();

  async reload(): Promise<void> {
    await this.page.reload();
    if (this.key !== undefined) await this.set({ "API key": this.key });
    await this.ready();
  }

  /** Turns the switch, and waits for the model there. */
  async use(place: "This browser" | "Server"): Promise<void> {
    await this.page.getByText(place, { exact: true }).click();
    await this.ready();
  }

  /** Sets fields of the settings, by their labels. */
  async set(fields: Readonly<Record<string, string>>): Promise<void> {
    await this.button("Settings").click();
    for (const [label, value] of Object.entries(fields)) {
      const field = this.page.getByLabel(label);
      if (await field.evaluate(({ tagName }) => tagName === "SELECT")) await field.selectOption(value);
      else await field.fill(value);
    }
    await this.button("Done").click();
  }

  get answers(): Locator {
    return this.page.locator(".message.assistant:not([aria-busy])");
  }

  /** Sends a message, and waits for its answer, which is the last. */
  async ask(text: string, file?: string): Promise<Locator> {
    if (file) await this.page.getByLabel("Image files").setInputFiles(file);
    const count = await this.answers.count();
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
    await this.answers.nth(count).waitFor();
    return this.answers.nth(count);
  }

  textOf = (answer: Locator) => answer.locator(".markdown").innerText();

  /** Draws one image in the view of that name, and waits for it. */
  async draw(prompt: string, seed: number): Promise<void> {
    await this.page.getByLabel("What to draw").fill(prompt);
    for (const [label, value] of [
      ["Seed", seed],
      ["Images", 1],
    ] as const)
      await this.page.getByLabel(label, { exact: true }).fill(`${value}`);
    const before = await this.page.locator(".card").count();
    await this.button("Draw").click();
    await this.page.locator(".card").nth(before).waitFor();
    await this.page.locator(".card").first().locator(".actions").waitFor();
  }

  /** Pixels of an image element, as one text. */
  async pixels(image: Locator): Promise<string> {
    return image.evaluate(async (own: HTMLImageElement) => {
      await own.decode();
      const canvas = new OffscreenCanvas(own.naturalWidth, own.naturalHeight);
      const context = canvas.getContext("2d")!;
      context.drawImage(own, 0, 0);
      return [...context.getImageData(0, 0, canvas.width, canvas.height).data].join();
    });
  }

  /** The codes of each position of the code view's image, as the colours that stand for them. */
  codes = () =>
    this.page
      .locator(".main")
      .first()
      .locator(".cell")
      .evaluateAll((all) => all.map((cell) => cell.innerHTML));

  /** What a button downloads, as a file's path. */
  async download(button: Locator): Promise<string> {
    const [download] = await Promise.all([this.page.waitForEvent("download"), button.click()]);
    return download.path();
  }

  /** What axe finds serious, as sentences. */
  async barriers(): Promise<string[]> {
    await this.page.evaluate(await readFile(join(root, "node_modules/axe-core/axe.min.js"), "utf8"));
    return this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
      const { violations } = await axe.run(document);
      const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      return serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`);
    });
  }

  async shoot(name: string): Promise<void> {
    if (shots) await this.page.screenshot({ path: join(shots, `${name}.png`) });
  }
}
