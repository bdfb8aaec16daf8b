// The example of docs/finetune.md, from the installed package in an empty folder: twenty drawings of a new concept, and what else the
// model could.

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const MINUTES = 60_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-pinwheels-"));
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: resolve(".") });
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  await writeFile(join(folder, "package.json"), "{}");
  await run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", `./${archive}`], { cwd: folder });
  await cp(join(folder, "node_modules/kelix/examples/pinwheels.mjs"), join(folder, "pinwheels.mjs"));
  await run(process.execPath, ["pinwheels.mjs", "pinwheels"], { cwd: folder });
}, 10 * MINUTES);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function kelix(...args: string[]): Promise<string> {
  const options = { cwd: folder, maxBuffer: 2 ** 26 };
  return (await run(process.execPath, ["node_modules/kelix/dist/cli/main.js", ...args], options)).stdout;
}

test.each(["bf16", "int8", "int4"])(
  "names unseen drawings of a new concept, and the rest as before: %s",
  async (weights) => {
    const model = weights === "bf16" ? "kelix-nano" : `nano-${weights}`;
    if (weights !== "bf16") await kelix("convert", "kelix-nano", model, "--weights", weights);
    const adapter = `pinwheel-${weights}`;
    const start = performance.now();
    await kelix("finetune", model, "--data", "pinwheels", "-o", adapter);
    const seconds = (performance.now() - start) / 1000;
    const unseen = (await readdir(join(folder, "pinwheels/unseen"))).map((name) => `pinwheels/unseen/${name}`);
    const said = JSON.parse(await kelix("describe", ...unseen, "--model", model, "--adapter", adapter, "--json"));
    const named = said.filter(({ text }: { text: string }) => text.includes("pinwheel")).length;
    const evaluate = async (...args: string[]) =>
      JSON.parse(await kelix("eval", "naming", "scenes", "--model", model, "--json", ...args));
    const [before, after] = [await evaluate(), await evaluate("--adapter", adapter)];
    const changes = (["naming", "scenes"] as const).map(
      (suite) => after[suite].accuracy.value - before[suite].accuracy.value,
    );
    console.log(`${weights}: ${seconds.toFixed(0)} s, ${named} of ${unseen.length}, changes ${changes}`);
    expect(named).toBeGreaterThanOrEqual(8);
    for (const change of changes) expect(change).toBeGreaterThan(-0.02);
    expect(seconds).toBeLessThan(5 * 60);
  },
  30 * MINUTES,
);
