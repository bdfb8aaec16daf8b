// The page as `kelix serve` gives it out, with the model on that server: a real process, with a key, reached under two names.

import { type ChildProcess, spawn } from "node:child_process";
import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../run-cli.ts";
import { launchChromium, PAGE_ARGS } from "./chromium.ts";
import { OpenPage, rocket } from "./open-page.ts";
import { tour } from "./page-tour.ts";

const KEY = "secret";
let server: ChildProcess;
let port: string;
let browser: Browser;
let context: BrowserContext;
let own: OpenPage;

beforeAll(async () => {
  const args = ["serve", "--host", "0.0.0.0", "--port", "0", "--api-key", KEY, "--threads", "1"];
  server = spawn(process.execPath, [program, ...args], { env: { ...process.env, KELIX_API_KEYS: "" } });
  let log = "";
  server.stderr!.on("data", (piece) => {
    log += piece;
  });
  port = await new Promise<string>((resolve, reject) => {
    server.stdout!.on("data", (piece) => resolve(new URL(String(piece)).port));
    server.on("close", () => reject(new Error(`ended before it listened: ${log}`)));
  });
  browser = await launchChromium(PAGE_ARGS);
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  own = await OpenPage.at(`http://127.0.0.1:${port}/`, context);
});

afterAll(async () => {
  await browser?.close();
  server?.kill("SIGKILL");
});

test("a server that wants a key says so, and is used with it", async () => {
  await own.page.getByText("Server", { exact: true }).click();
  await own.page.getByText(/wants an API key: give it in the settings/).waitFor();
  await own.set({ "API key": "guess" });
  await own.page.getByText(/the one in the settings is not known there/).waitFor();
  own.key = KEY;
  await own.set({ "API key": KEY });
  await own.ready();
  expect(await own.page.evaluate("crossOriginIsolated")).toBe(true);
  expect(await own.page.getByRole("alert").innerText()).toBe("");
  await own.button("Settings").click();
  expect(await own.page.getByLabel("Steps of drawing").getAttribute("placeholder")).toBe("12");
  expect(await own.barriers()).toEqual([]);
  await own.shoot("server-settings");
  await own.button("Done").click();
});

tour("server", () => own);

test("code view: says that a server does not score answers", async () => {
  await own.page.getByRole("tab", { name: "Where a word looked" }).click();
  await own.page.getByText(/A server does not score answers: switch to the model in this browser/).waitFor();
  expect(await own.button("Look").isDisabled()).toBe(true);
});

test("the switch keeps the conversation, and the model in the browser is the same one", async () => {
  const { page } = own;
  const drawnCodes = async () => {
    await own.view("Imagine");
    await own.draw("two red circles", 5);
    await page.locator(".card").first().getByRole("button", { name: "Codes" }).click();
    await page.getByText("Reading its codes").waitFor({ state: "hidden" });
    return own.codes();
  };
  const onServer = await drawnCodes();
  await own.view("Chat");
  await own.button("New conversation").click();
  await own.ask("What is this?", rocket);
  const said = await own.textOf(await own.ask("What colour is it?"));
  await own.use("This browser");
  own.key = undefined;
  expect(await own.answers.count()).toBe(2);
  await own.button("Edit").last().click();
  await page.locator("form.edit").getByRole("button", { name: "Send" }).click();
  await page.locator(".message.user").getByText("2 of 2").waitFor();
  await own.answers.nth(1).waitFor();
  expect(await own.textOf(own.answers.nth(1))).toBe(said);
  expect(await drawnCodes()).toEqual(onServer);
});

test("on an insecure origin it says what is missing, and the server answers", async () => {
  const other = await OpenPage.at(`http://kelix.test:${port}/`, await browser.newContext());
  await other.page.getByText(/This address is not secure/).waitFor();
  await other.page.getByText("Server", { exact: true }).click();
  await other.set({ "API key": KEY });
  await other.ready();
  expect(await other.textOf(await other.ask("What is this?", rocket))).toBe("a rocket");
  await other.page.context().close();
});

test("when the server is gone, the page opens and answers by itself, and says that the server is", async () => {
  await own.page.evaluate("navigator.serviceWorker.ready.then(() => 0)");
  server.kill("SIGKILL");
  await own.reload();
  await own.view("Chat");
  expect(await own.textOf(await own.ask("What is this?", rocket))).toBe("a rocket");
  await own.page.getByText("Server", { exact: true }).click();
  await own.page.getByText(/There is no answer from .* Start a server with "kelix serve"/).waitFor();
  expect(own.faults).toEqual([]);
});
