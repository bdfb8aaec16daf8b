// What a user does first, on whatever Node runs this: node --expose-gc test/smoke/smoke.mjs. Plain JavaScript on the built package,
// so that it runs on every version that `engines` promises. Anything on stderr, or another exit status than 0, is a fault.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Kelix } from "kelix";

const root = fileURLToPath(new URL("../..", import.meta.url));
const image = join(root, "data/heldout/demo/octopus.png");
const folder = mkdtempSync(join(tmpdir(), "kelix-smoke-"));
const step = (name) => process.stdout.write(`${name}\n`);

step(`Node ${process.version}`);
assert.equal(createRequire(import.meta.url)("kelix").Kelix, Kelix);

step("load, tokenize, and dispose of the model in each of the ways");
const kelix = await Kelix.load("kelix-nano");
const { grid, codes } = await kelix.tokenize(image);
assert.deepEqual([grid, codes.length], [[6, 6], 288]);
await kelix[Symbol.asyncDispose]();
await kelix.dispose();

step("forget to dispose of a model");
const descriptors = () => (existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0);
const before = descriptors();
await (async () => {
  for (let i = 0; i < 3; i++) {
    const forgotten = await Kelix.load("kelix-nano");
    if (i === 0) assert.deepEqual((await forgotten.tokenize(image)).codes, codes);
  }
})();
assert.ok(globalThis.gc, "run with --expose-gc");
for (let i = 0; i < 50 && (i < 5 || descriptors() > before); i++) {
  globalThis.gc();
  await sleep(50);
}
assert.ok(descriptors() <= before + 3, `${descriptors()} descriptors are open, ${before} were before`);

step("use the library in a worker thread");
const worker = `
  const { parentPort, workerData } = require("node:worker_threads");
  import(workerData.library).then(async ({ Kelix }) => {
    const kelix = await Kelix.load("kelix-nano");
    const { codes } = await kelix.tokenize(workerData.image);
    await kelix.dispose();
    parentPort.postMessage([...codes]);
  });`;
const workerData = { library: import.meta.resolve("kelix"), image };
const answer = await new Promise((resolve, reject) => {
  new Worker(worker, { eval: true, workerData }).on("message", resolve).on("error", reject);
});
assert.deepEqual(answer, [...codes]);

step("ask two questions through a pipe, and draw");
const cli = (args, input = "") =>
  execFileSync(process.execPath, [join(root, "dist/cli/main.js"), ...args], { input, encoding: "utf8", cwd: folder });
const answers = cli(["chat", image], "What is this?\nHow many shapes are there?\n");
assert.equal(answers.trim().split("\n").length, 2, answers);
cli(["imagine", "two red circles", "-o", "circles.png", "--steps", "2"]);
assert.deepEqual(readdirSync(folder), ["circles.png"]);
rmSync(folder, { recursive: true });
step("all is well");
