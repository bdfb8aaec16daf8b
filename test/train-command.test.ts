// kelix train as a user meets it: the built program on a small corpus, without a terminal.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program, runCli } from "./run-cli.ts";
import { tinyAutoencoderRun, writeTinyCorpus } from "./tiny-corpus.ts";

let root: string;
let cache: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-train-"));
  cache = join(root, "cache");
  await writeTinyCorpus(cache);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function configure(name: string, extra: object = {}): Promise<string> {
  const path = join(root, `${name}.json`);
  await writeFile(path, JSON.stringify(tinyAutoencoderRun(join(root, name), cache, extra)));
  return path;
}

const command = (config: string, ...args: string[]) => ["train", "autoencoder", "--config", config, ...args];
const run = (config: string, ...args: string[]) => runCli(command(config, ...args));

/** Starts the command in a process of its own. */
function start(config: string, ...args: string[]) {
  const child = spawn(process.execPath, [program, ...command(config, ...args)]);
  const result = { out: "", err: "", status: undefined as number | null | undefined };
  child.stdout.on("data", (data) => {
    result.out += data;
  });
  child.stderr.on("data", (data) => {
    result.err += data;
  });
  const ended = once(child, "close").then(([status]) => ({ ...result, status: status as number | null }));
  return { child, result, ended };
}

const loggedSteps = async (name: string) =>
  (await readFile(join(root, name, "log.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { step: number }).step);

test("tells its folder, what it prepares, and a line for each logged step, with no terminal", async () => {
  const config = await configure("lines", { logEvery: 2 });
  const { out, err, status } = await run(config);
  expect([status, err]).toEqual([0, ""]);
  const lines = out.trim().split("\n");
  expect(lines[0]).toBe(`${join(root, "lines")}: autoencoder, a new run of 6 steps`);
  expect(lines.some((line) => line.startsWith("tracing the loss images, 1 of 1"))).toBe(true);
  for (const step of [2, 4, 6]) expect(lines.some((line) => line.startsWith(`step ${step}/6 `))).toBe(true);
});

test("prints nothing with --quiet, and one value with --json", async () => {
  const quiet = await run(await configure("quiet"), "--quiet");
  expect(quiet).toMatchObject({ out: "", err: "", status: 0 });
  const json = await run(await configure("json"), "--json");
  expect(JSON.parse(json.out)).toMatchObject({ step: 6, loss: expect.any(Number) });
  expect(json.err).toMatch(/^step 6\/6 /m);
});

test("goes on to its end when the reader of its lines has gone", async () => {
  const { child, result, ended } = start(await configure("unread", { steps: 30 }));
  while (!result.out.includes("step 2/")) await once(child.stdout, "data");
  child.stdout.destroy();
  expect(await ended).toMatchObject({ status: 0, err: "" });
  expect(await loggedSteps("unread")).toHaveLength(30);
});

test("the second of two in one folder ends at once, in a sentence", async () => {
  const config = await configure("both", { steps: 100_000, checkpointEvery: 100_000 });
  const first = start(config);
  while (!first.result.out.includes("step 1/")) await once(first.child.stdout, "data");
  const second = await run(config);
  expect(second.err).toBe(
    `kelix: ${join(root, "both")}: another process is already training here. Wait until it ends, or name another folder\n`,
  );
  expect(second.status).toBe(1);
  first.child.kill("SIGTERM");
  expect(await first.ended).toMatchObject({ status: 130, err: "kelix: interrupted\n" });
  expect(first.result.out).toMatch(/stopped at step \d+; continue with --resume\n$/);
});

test("a killed run goes on at once, and has each step once", async () => {
  const config = await configure("killed", { steps: 40 });
  const killed = start(config);
  while (!killed.result.out.includes("step 5/")) await once(killed.child.stdout, "data");
  killed.child.kill("SIGKILL");
  await killed.ended;
  const started = performance.now();
  const { status, err } = await run(config, "--resume");
  expect([status, err]).toEqual([0, ""]);
  expect(performance.now() - started).toBeLessThan(60_000); // a lock that nobody can prove abandoned lasts two minutes
  expect(await loggedSteps("killed")).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
});

test("the toy takes no settings of other runs, and they none of the toy's", async () => {
  const train = (...args: string[]) => runCli(["train", ...args]);
  expect(await train("toy", "--config", "x.json")).toMatchObject({
    err: "kelix: train toy has no --config (try kelix train --help)\n",
    status: 2,
  });
  expect(await train("tokenizer", "--config", "x.json", "--out", "y")).toMatchObject({ status: 2 });
  expect(await train("tokenizer")).toMatchObject({ err: expect.stringMatching(/needs --config FILE/), status: 2 });
});

test("what is wrong with a config is one line that names file and field", async () => {
  const config = await configure("wrong", { data: { cache, side: 32, batch: "two", mix: { emoji: 1 } } });
  const { status, err, out } = await run(config);
  expect(status).toBe(1);
  expect(err).toMatch(/^kelix: .*wrong\.json: data.*batch.*\n$/);
  expect(out.split("\n")).toHaveLength(2); // its folder, before it was found out
});
