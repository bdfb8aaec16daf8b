// `npm run parity -- DIR... [--dump FILE]`: computes folders of the reference's numbers again and compares every tensor.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeSafetensors } from "../../src/quantize/safetensors-file.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { arCase } from "./ar.ts";
import { openGolden, type ParityCase } from "./case.ts";
import { type Comparison, compareAll, formatComparison } from "./compare.ts";
import { dcaeCase } from "./dcae.ts";
import { ditCase } from "./dit.ts";
import { preprocessCase } from "./preprocess.ts";
import { qwen3Case } from "./qwen3.ts";
import { schedulersCase } from "./schedulers.ts";
import { tokenizerCase } from "./tokenizer.ts";
import { vitCase } from "./vit.ts";

/** Asked in this order whether a config.json is theirs. */
const cases: readonly ParityCase[] = [
  preprocessCase,
  schedulersCase,
  arCase,
  tokenizerCase,
  ditCase,
  dcaeCase,
  qwen3Case,
  vitCase,
];

export interface ParityResult {
  readonly computed: Map<string, HostTensor>;
  readonly comparisons: readonly Comparison[];
}

/** Runs one folder; throws if no case knows its config. */
export async function runParity(dir: string): Promise<ParityResult> {
  const { folder, outputs, close } = await openGolden(dir);
  try {
    const found = findCase(folder.config, dir);
    const computed = await found.run(folder);
    const references = new Map([...outputs, ...(found.references?.(folder) ?? [])]);
    return { computed, comparisons: compareAll(computed, references, (name) => found.tolerance(name, folder.config)) };
  } finally {
    await close();
  }
}

/** The case whose config this is, by its keys. */
export function findCase(config: Readonly<Record<string, unknown>>, dir: string): ParityCase {
  const found = cases.find((candidate) => candidate.matches(config));
  if (found) return found;
  throw new Error(`${dir}/config.json: is of no known case; its keys are ${Object.keys(config).join(", ")}`);
}

/** Returns the exit status: 0 all within tolerance, 1 something failed, 2 usage error. */
export async function main(
  args: readonly string[],
  out: (line: string) => void = console.log,
  err: (line: string) => void = console.error,
): Promise<number> {
  const request = parseRequest(args);
  if (!request) {
    err("usage: npm run parity -- DIR... [--dump FILE], one DIR with --dump");
    return 2;
  }
  let failed = false;
  for (const dir of request.dirs) {
    if (request.dirs.length > 1) out(`# ${dir}`);
    try {
      const { computed, comparisons } = await runParity(dir);
      for (const comparison of comparisons) out(formatComparison(comparison));
      if (request.dump !== undefined) await writeSafetensors(request.dump, computed);
      // Nothing compared is not a success, unless only the values were wanted.
      failed ||= comparisons.some(({ ok }) => !ok) || (comparisons.length === 0 && request.dump === undefined);
    } catch (error) {
      err(error instanceof Error ? error.message : String(error));
      failed = true;
    }
  }
  return failed ? 1 : 0;
}

function parseRequest(args: readonly string[]): { dirs: string[]; dump: string | undefined } | undefined {
  try {
    const options = { dump: { type: "string" } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const wanted = values.dump === undefined ? positionals.length > 0 : positionals.length === 1;
    return wanted ? { dirs: positionals, dump: values.dump } : undefined;
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
