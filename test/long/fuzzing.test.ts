// Fuzzing guided by coverage, one process for each target: docs/fuzzing.md. An input that ends badly stays in the folder that the
// message names; KELIX_FUZZ_WRITE=1 puts a row for each target into docs/fuzzing.md as it ends, and new inputs into the corpus.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
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

test.each(targets.map(({ name, kind }) => [name, kind] as const))(
  "%s: no crash, no hang, no more than 1 GB",
  async (name, kind) => {
    const folder = await mkdtemp(join(tmpdir(), `kelix-fuzz-${name}-`));
    // On a large machine V8 lets garbage of small inputs grow to 1 GB; what lives above this limit ends the process, as a fault.
    const flags = ["--max-old-space-size=600", "--import", "tsx", "--conditions=kelix-source"];
    const own = [program, name, String(inputs[kind]), String(seed), folder, ...(writes ? ["--keep"] : [])];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, ...own]).catch((error) => {
      throw new Error(`died of the input in ${folder}/current: ${error.signal ?? ""} ${error.stderr}`);
    });
    const result: GuidedResult = JSON.parse(stdout.trim().split("\n").at(-1)!);
    if (writes) await writeRow(rowOf(name, result));
    expect(result.faults).toEqual([]);
    expect(result.inputs).toBe(inputs[kind]);
    expect(result.accepted, "inputs that are accepted").toBeGreaterThan(0);
    expect(result.peakMegabytes).toBeLessThan(1000);
    await rm(folder, { recursive: true });
  },
  7_200_000,
);

const header = [
  "target",
  "inputs",
  "guided",
  "accepted",
  "code reached by the seeds",
  "by all",
  "slowest",
  "memory",
  "time",
  "faults",
];

function rowOf(name: string, result: GuidedResult): string[] {
  return [
    name,
    result.inputs.toLocaleString("en"),
    result.guided.toLocaleString("en"),
    `${((100 * result.accepted) / result.inputs).toFixed(1)} %`,
    result.reachedBySeeds.toLocaleString("en"),
    result.reached.toLocaleString("en"),
    `${result.slowestMs} ms`,
    `${result.peakMegabytes} MB`,
    `${Math.round(result.seconds)} s`,
    String(result.faults.length),
  ];
}

/** Puts a target's row in place of its last one; the rows of other targets stay. */
async function writeRow(row: readonly string[]): Promise<void> {
  const text = await readFile(page, "utf8");
  const known = [...text.matchAll(/^\| .* \|$/gm)].map(([line]) => line.slice(2, -2).split(" | "));
  const rows = new Map([...known, row].map((cells) => [cells[0]!, cells]));
  const lines = [
    header,
    header.map(() => "---"),
    ...targets.flatMap(({ name }) => (rows.has(name) ? [rows.get(name)!] : [])),
  ];
  const table = lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const about = `Seed ${seed}, Node ${process.version}.`;
  await writeFile(page, text.replace(/<!-- run -->[\s\S]*$/, `<!-- run -->\n${about}\n\n${table}\n`));
}
