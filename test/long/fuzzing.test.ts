// Fuzzing guided by coverage, one process for each target: docs/fuzzing.md. An input that ends badly stays in the folder that the
// message names; KELIX_FUZZ_WRITE=1 puts the table into docs/fuzzing.md, and new inputs into the corpus.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import type { GuidedResult } from "../fuzz/guided.ts";
import type { Target } from "../fuzz/target.ts";
import { targets } from "../fuzz/targets.ts";

const inputs: Readonly<Record<Target["kind"], number>> = {
  memory: Number(process.env.KELIX_FUZZ_INPUTS ?? 1_000_000),
  open: Number(process.env.KELIX_FUZZ_OPEN_INPUTS ?? 10_000),
};
const seed = Number(process.env.KELIX_FUZZ_SEED ?? 1);
const writes = process.env.KELIX_FUZZ_WRITE === "1";
const program = fileURLToPath(new URL("../fuzz/guided.ts", import.meta.url));
const page = "docs/fuzzing.md";
const results = new Map<string, GuidedResult>();

test.each(targets)(
  "$name: no crash, no hang, no more than 1 GB",
  async ({ name, kind }) => {
    const folder = await mkdtemp(join(tmpdir(), `kelix-fuzz-${name}-`));
    const flags = ["--import", "tsx", "--conditions=kelix-source"];
    const own = [program, name, String(inputs[kind]), String(seed), folder, ...(writes ? ["--keep"] : [])];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, ...own]).catch((error) => {
      throw new Error(`died of the input in ${folder}/current: ${error.signal ?? ""} ${error.stderr}`);
    });
    const result: GuidedResult = JSON.parse(stdout.trim().split("\n").at(-1)!);
    results.set(name, result);
    expect(result.faults).toEqual([]);
    expect(result.inputs).toBe(inputs[kind]);
    expect(result.accepted, "inputs that are accepted").toBeGreaterThan(0);
    expect(result.peakMegabytes).toBeLessThan(1000);
    await rm(folder, { recursive: true });
  },
  7_200_000,
);

afterAll(async () => {
  const header = ["target", "inputs", "accepted", "code reached by the seeds", "by all", "slowest", "memory", "faults"];
  const rows = [...results].map(([name, result]) => [
    name,
    result.inputs.toLocaleString("en"),
    `${((100 * result.accepted) / result.inputs).toFixed(1)} %`,
    result.reachedBySeeds.toLocaleString("en"),
    result.reached.toLocaleString("en"),
    `${result.slowestMs} ms`,
    `${result.peakMegabytes} MB`,
    String(result.faults.length),
  ]);
  const table = [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  console.log(table);
  if (!writes) return;
  const text = await readFile(page, "utf8");
  const total = [...results.values()].reduce((sum, { seconds }) => sum + seconds, 0);
  const about = `Seed ${seed}, Node ${process.version}, ${Math.ceil(total / 60)} minutes. Code is counted in characters that ran.`;
  await writeFile(page, text.replace(/<!-- run -->[\s\S]*$/, `<!-- run -->\n${about}\n\n${table}\n`));
});
