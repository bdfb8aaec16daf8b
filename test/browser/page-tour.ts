// What a user does with the page, wherever its model runs: the same tests for the model in the browser and on a server.

import { expect, test } from "vitest";
import { runCli } from "../run-cli.ts";
import { type OpenPage, octopus, rocket } from "./open-page.ts";

/** Registers the tests. `on` gives the page, which is open; screenshots are named after `name`. */
export function tour(name: string, on: () => OpenPage): void {
  test("answers a question about an image, and again as a branch", async () => {
    const own = on();
    const answer = await own.ask("What is this?", rocket);
    expect(await own.textOf(answer)).toBe("a rocket");
    expect(await answer.locator(".timing").innerText()).toMatch(/[\d.]+ tokens\/s, [\d.]+ s/);
    await own.button("Regenerate").click();
    await own.page.getByText("2 of 2").waitFor();
    await own.button("Earlier version").click();
    await own.page.getByText("1 of 2").waitFor();
    expect(await own.textOf(answer)).toBe("a rocket");
  });

  test("an edited question becomes a branch, and history finds it after a reload", async () => {
    const own = on();
    const { page } = own;
    await own.button("Edit").click();
    await page.getByLabel("Your message").fill("Describe the image.");
    await page.locator("form.edit").getByRole("button", { name: "Send" }).click();
    await page.locator(".message.user").getByText("2 of 2").waitFor();
    await own.answers.waitFor();
    await own.shoot(`${name}-chat`);
    await own.reload();
    await page.getByRole("searchbox").fill("a rocket");
    await page
      .getByRole("navigation", { name: "Conversations" })
      .getByRole("button", { name: "What is this?", exact: true })
      .click();
    await own.answers.waitFor();
    await page.getByRole("searchbox").fill("nobody said that");
    await page.getByText("Nothing says that.").waitFor();
    await page.getByRole("searchbox").fill("");
  });

  test("draws an image in a chat, and stops when it is told", async () => {
    const own = on();
    const { page } = own;
    await own.button("New conversation").click();
    await (await own.ask("Draw a red circle.")).getByAltText("Drawn by the model").waitFor();
    expect(await own.textOf(await own.ask("What is this?"))).toMatch(/circle/); // it reads what it has drawn
    await own.shoot(`${name}-drawn`);
    await own.button("New conversation").click();
    await own.set({ "Steps of drawing": "200" });
    await page.getByLabel("Message", { exact: true }).fill("Draw a green circle.");
    await page.keyboard.press("Enter");
    await page.locator(".message img.preview").waitFor();
    await own.button("Stop").click();
    await page.getByText("Stopped.").waitFor();
    await own.set({ "Steps of drawing": "" });
  });

  test("imagines with previews; the same seed gives the same pixels; the file can be replayed", async () => {
    const own = on();
    const { page } = own;
    await own.view("Imagine");
    await page.getByLabel("Steps", { exact: true }).fill("60"); // long enough to be seen on its way
    await page.getByLabel("Images", { exact: true }).fill("1");
    await own.button("Draw").click();
    await page.locator(".card img.preview").waitFor();
    await page.locator(".card .actions").waitFor();
    await page.getByLabel("Steps", { exact: true }).fill("");
    await own.draw("a red circle", 3);
    const pixels = (at: number) => own.pixels(page.locator(".card img").nth(at));
    const first = await pixels(0);
    await own.button("Again").first().click();
    await page.locator(".card .actions").nth(2).waitFor();
    expect(await pixels(0)).toBe(first);
    await own.button("Vary").first().click();
    await page.locator(".card .actions").nth(6).waitFor();
    const varied = await Promise.all([0, 1, 2, 3].map(pixels));
    expect(new Set([first, ...varied]).size).toBe(5);
    expect(await own.barriers()).toEqual([]);
    await own.shoot(`${name}-imagine`);
    const card = page.locator(".card").nth(4);
    const file = await own.download(card.getByRole("button", { name: "Download" }));
    const { status, out, err } = await runCli(["replay", file, "--json"]);
    expect(status, out + err).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ expected: expect.stringMatching(/identical|close/) });
    await card.getByRole("button", { name: "Codes" }).click();
  });

  test("code view: a flipped code changes the image, and is put back", async () => {
    const own = on();
    const { page } = own;
    await page.getByRole("gridcell").nth(35).waitFor();
    await page.getByText("Reading its codes").waitFor({ state: "hidden" });
    const image = page.locator(".main .code-grid img");
    const before = await image.getAttribute("src");
    await page.getByRole("gridcell", { name: "Row 2, column 3" }).click();
    await page.getByRole("heading", { name: "Row 2, column 3" }).waitFor();
    const codes = await own.codes();
    await page.getByLabel("Codebook 1", { exact: true }).fill("7");
    await expect.poll(() => image.getAttribute("src"), { timeout: 60_000 }).not.toBe(before);
    const flipped = await own.codes();
    expect(flipped.flatMap((cell, at) => (cell === codes[at] ? [] : [at]))).toEqual([8]);
    await own.button("Put codes back").click();
    await expect.poll(own.codes).toEqual(codes);
    await own.shoot(`${name}-codes`);
  });

  test("code view: differences are counted, and swapped codes change places", async () => {
    const own = on();
    const { page } = own;
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
    await own.button("Swap 2 positions").click();
    await expect.poll(() => page.locator(".row button").nth(1).isDisabled(), { timeout: 30_000 }).toBe(false);
    expect(Number(await count.innerText())).toBe(differing); // exchanged, so as many differ
    await own.button("Wipe").click();
    await own.shoot(`${name}-compare`);
  });

  test("code view: painted positions are rewritten, the others keep their codes", async () => {
    const own = on();
    const { page } = own;
    await page.getByRole("tab", { name: "Paint and rewrite" }).click();
    const before = await own.codes();
    const painted = [20, 21, 26, 27];
    for (const at of painted) await page.locator(".main .cell").nth(at).click();
    await page.getByLabel("What to change").fill("make it green");
    await own.button("Rewrite 4 positions").click();
    await page.getByText("The painted positions were rewritten").waitFor({ state: "attached" });
    const after = await own.codes();
    const changed = after.flatMap((cell, at) => (cell === before[at] ? [] : [at]));
    expect(changed.length).toBeGreaterThan(0);
    expect(changed.filter((at) => !painted.includes(at))).toEqual([]);
    await own.shoot(`${name}-rewrite`);
  });
}
