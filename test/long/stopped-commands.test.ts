// Commands that are stopped at random moments: by signals, which they obey in order, and by kills, after which no file is half
// written and a later run clears away what is left.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { counterRandom } from "../../src/random/counter.ts";
import { program, runCli } from "../run-cli.ts";

const demo = fileURLToPath(new URL("../../data/heldout/demo/", import.meta.url));
const images = ["octopus", "guitar", "hamburger", "rocket", "umbrella"].map((name) => join(demo, `${name}.png`));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-stopped-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function start(args: readonly string[], cwd: string): ChildProcess {
  return spawn(process.execPath, [program, ...args], { cwd, env: { ...process.env, KELIX_MODEL: "kelix-nano" } });
}

/** How a command ends that gets `signal` after a while. */
async function stop(args: readonly string[], cwd: string, signal: NodeJS.Signals, afterMs: number) {
  const child = start(args, cwd);
  let err = "";
  child.stderr?.on("data", (text) => {
    err += text;
  });
  const ended = new Promise<{ status: number | null; by: NodeJS.Signals | null }>((resolve) => {
    child.on("close", (status, by) => resolve({ status, by }));
  });
  await sleep(afterMs);
  const sentAt = performance.now();
  child.kill(signal);
  return { ...(await ended), err, lateMs: performance.now() - sentAt };
}

const commands: Readonly<Record<string, readonly string[]>> = {
  describe: ["describe", ...images],
  imagine: ["imagine", "two red circles", "--n", "50", "--steps", "20", "-o", "p.png"],
  tokenize: ["tokenize", ...images, ...images, "-o", "c.safetensors"],
  reconstruct: ["reconstruct", images[0]!, "--steps", "500", "-o", "p.jpg"],
  "a prompt that is awaited": ["imagine", "-", "-o", "p.png"],
  chat: ["chat"],
  convert: ["convert", "kelix-nano", "m", "--weights", "int4"],
  eval: ["eval", "nano", "--seeds", "2"],
  plan: ["plan"],
  demo: ["demo", "-o", "d"],
};

test.each(Object.keys(commands))("%s obeys signals: one line, status 130, nothing half-written", async (name) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    for (const afterMs of [100, 600, 1500, 2600]) {
      const cwd = await mkdtemp(join(folder, "signal-"));
      const { status, by, err, lateMs } = await stop(commands[name]!, cwd, signal, afterMs);
      const what = `${signal} after ${afterMs} ms`;
      // Before the program has begun the system ends it; it may also be done already.
      if (by !== signal && status !== 0) expect([status, err], what).toEqual([130, "kelix: interrupted\n"]);
      expect(lateMs, what).toBeLessThan(10_000);
      const left = (await readdir(cwd, { recursive: true })).filter((path) => /\.(tmp|partial)$/.test(path));
      expect(left, what).toEqual([]);
      await rm(cwd, { recursive: true });
    }
  }
});

const KILLS = 25;
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test.each([
  ["tokenize", ["tokenize", ...images, "-o", "c.safetensors"]],
  ["imagine", ["imagine", "two red circles", "--n", "8", "--steps", "1", "-o", "p.png"]],
] as const)("%s that is killed leaves whole files or none, and the next run clears away the rest", async (_, args) => {
  const cwd = await mkdtemp(join(folder, "kill-"));
  const began = performance.now();
  expect((await runCli(args, { cwd })).status).toBe(0);
  const wholeMs = performance.now() - began;
  const read = async () => {
    const names = (await readdir(cwd)).filter((name) => !name.startsWith("."));
    return Promise.all(names.map(async (name) => hash(await readFile(join(cwd, name)))));
  };
  const right = new Set(await read());
  const old = hash(Buffer.from("old"));
  const random = counterRandom(7, "kills");
  for (let i = 0; i < KILLS; i++) {
    for (const name of (await readdir(cwd)).filter((name) => !name.startsWith(".")))
      await writeFile(join(cwd, name), "old");
    await stop(args, cwd, "SIGKILL", wholeMs * (0.3 + 0.7 * random.uniform(i)));
    for (const found of await read()) expect(found === old || right.has(found)).toBe(true);
  }
  expect((await runCli(args, { cwd })).status).toBe(0);
  expect((await readdir(cwd)).filter((name) => name.startsWith("."))).toEqual([]);
});
