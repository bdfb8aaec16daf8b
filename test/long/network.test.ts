// The whole program and the library under strace: no name is looked up and no connection is made, also by native code and also when
// the process lives on for a while, as ONNX Runtime's usage reports do after some ten seconds.

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../run-cli.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const image = join(root, "data/heldout/demo/octopus.png");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-network-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function canTrace(): boolean {
  try {
    execFileSync("strace", ["-o", "/dev/null", "true"], { stdio: "ignore" });
    return true;
  } catch {
    console.warn("strace is not installed or not allowed here, so nobody watched the network");
    return false;
  }
}

/** Calls of a program that reach out of the machine. */
async function networkCalls(...command: string[]): Promise<string[]> {
  const log = join(folder, "calls.txt");
  const args = ["-f", "-qq", "-e", "trace=network", "-o", log, process.execPath, ...command];
  const { ORT_DISABLE_TELEMETRY, ...env } = process.env;
  await promisify(execFile)("strace", args, { cwd: folder, env: { ...env, HOME: folder } });
  return (await readFile(log, "utf8")).split("\n").filter((line) => /AF_INET|sendto|sendm/.test(line));
}

const stay = `
  import { Kelix } from ${JSON.stringify(join(root, "dist/index.js"))};
  const kelix = await Kelix.load("kelix-nano", { device: process.argv[1] });
  await kelix.tokenize(${JSON.stringify(image)});
  await kelix.imagine("a circle", { steps: 1 });
  await new Promise((done) => setTimeout(done, 30_000));
  await kelix.dispose();`;

test.runIf(canTrace())("the watch sees a look-up", async () => {
  const lookup =
    'require("node:dns").lookup("kelix.invalid", () => {}); require("node:dns").resolve("kelix.invalid", () => {});';
  expect(await networkCalls("-e", lookup)).not.toEqual([]);
});

test.runIf(canTrace()).each(["cpu", "wasm"])(
  "nothing is looked up by the library on %s in half a minute",
  async (device) => {
    expect(await networkCalls("--input-type=module", "-e", stay, device)).toEqual([]);
  },
);

test.runIf(canTrace())("nothing is looked up by commands", async () => {
  for (const args of [
    ["describe", image],
    ["info"],
    ["plan"],
    ["convert", "kelix-nano", "converted", "--weights", "int8"],
  ])
    expect(await networkCalls(program, ...args), args.join(" ")).toEqual([]);
});
