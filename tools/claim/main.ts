// npm run claim [-- OPTIONS]
// Measures the paper's claim by the protocol of docs/claim.md, and writes the results into that page.

import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { folderFiles } from "../../src/files/folder.node.ts";
import { replaceFile, writeAll } from "../../src/output/atomic-file.ts";
import { TextTokenizer } from "../../src/text/tokenizer.ts";
import { letteringWords, openCorpus } from "../../src/train/data/corpus.ts";
import { defaultCacheFolder } from "../../src/train/data/icon-sets.ts";
import { RowWriter } from "../../src/train/data/rows.ts";
import { openItems } from "./items.ts";
import { IMAGE_SIDE, POSITIONS } from "./models.ts";
import { plotAccuracy } from "./plot.ts";
import { type ArmName, arms, full, PILOT_SHARE, type Protocol, quick, suiteNames } from "./protocol.ts";
import { describeOutcome, describeProgress, insertResults } from "./report.ts";
import { decide, missingOf, openTest, readRecords } from "./results.ts";
import { type RunSettings, recordFile, runArm } from "./run.ts";

const USAGE = `npm run claim -- [OPTIONS]
Trains and scores every arm of docs/claim.md, then decides. Finished arms are kept in docs/claim/. To resume unfinished ones,
run the same command again.

  --quick          a smoke test of the whole path, less than ten minutes of one core, which proves nothing
  --pilot          only seed 100, and of it the continuous arm or --arms: do they read ${100 * PILOT_SHARE} % of every level on validation?
  --seeds 1,2      only these seeds, now; the others later
  --arms C,8       only these arms
  --rate 1e-3      learning rate of all stages
  --folder F       where the runs are kept (runs/claim)
  --threads N      threads per operation
  --hours H        stop after H hours, as Ctrl-C does; the same command resumes
  --report         do not train: decide from existing records, or say how far they are

Examples
  npm run claim -- --quick
  npm run claim -- --pilot --arms C,8
  npm run claim -- --seeds 1        # one seed, some hours
  npm run claim -- --hours 2.5      # the next piece of what is missing
  npm run claim                     # everything that is missing`;

const PILOT_SEED = 100;

class UsageError extends Error {}

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    pilot: { type: "boolean", default: false },
    seeds: { type: "string" },
    arms: { type: "string" },
    rate: { type: "string", default: "1e-3" },
    folder: { type: "string", default: "runs/claim" },
    threads: { type: "string" },
    hours: { type: "string" },
    report: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

const stop = new AbortController();
if (values.hours)
  setTimeout(
    () => stop.abort(new Error(`stopped after ${values.hours} hours: the same command resumes`)),
    parseNumber("hours", values.hours) * 3.6e6,
  ).unref();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(new Error("interrupted")));
const log = (line: string) => process.stdout.write(`${line}\n`);

try {
  if (values.help) log(USAGE);
  else await main();
} catch (error) {
  process.stderr.write(`claim: ${(error as Error).message}\n${error instanceof UsageError ? `\n${USAGE}\n` : ""}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function main(): Promise<void> {
  const protocol = values.quick ? quick : full;
  // Records of a smoke test are not kept, so that the next one runs the whole path again.
  const scratch = values.quick ? await mkdtemp(join(tmpdir(), "kelix-claim-")) : undefined;
  try {
    const settings = await openSettings(protocol, scratch);
    if (values.pilot) return await pilot(settings);
    if (!values.report) {
      await runAll(plannedRuns(protocol), settings);
    }
    await report(settings);
  } finally {
    if (scratch) await rm(scratch, { recursive: true, force: true });
  }
}

/** Says which run it is at, and, after each, how long the others will take. */
async function runAll(runs: readonly [ArmName, number][], settings: RunSettings): Promise<void> {
  const isMissing = ([arm, seed]: [ArmName, number]) => !existsSync(recordFile(settings.results, arm, seed));
  const startMs = performance.now();
  let made = 0;
  for (const [i, run] of runs.entries()) {
    const [arm, seed] = run;
    const isNew = isMissing(run);
    if (isNew) log(`arm ${arm}, seed ${seed}: run ${i + 1} of ${runs.length}`);
    await runArm(arm, seed, settings); // checks a finished one
    if (!isNew) continue;
    made++;
    const left = runs.filter(isMissing).length;
    const hours = (performance.now() - startMs) / 3.6e6;
    log(`${made} done in ${hours.toFixed(1)} hours; ${left} left, about ${((left * hours) / made).toFixed(1)} hours`);
  }
}

async function openSettings(protocol: Protocol, scratch: string | undefined): Promise<RunSettings> {
  const cache = defaultCacheFolder();
  const corpus = await openCorpus(cache, IMAGE_SIDE, ["emoji", "scene"]);
  const source = await openItems(corpus, await letteringWords(cache), cache);
  const writer = new RowWriter(await TextTokenizer.load(folderFiles("data/claim/vocabulary")), POSITIONS);
  const threads = values.threads ? { threads: parseNumber("threads", values.threads) } : {};
  return {
    protocol,
    folder: scratch ?? values.folder,
    results: scratch ? join(scratch, "results") : "docs/claim",
    rate: parseNumber("rate", values.rate),
    ...threads,
    signal: stop.signal,
    log,
    context: (seed) => ({ source, writer, seed, batch: protocol.batch, ...threads }),
  };
}

/** Seed by seed, so that paired arms finish together. */
function plannedRuns({ seeds }: Protocol): [ArmName, number][] {
  const onlySeeds = values.seeds?.split(",").map((seed) => parseNumber("seeds", seed));
  const onlyArms = namedArms();
  const all = Object.entries(seeds).flatMap(([arm, count]) =>
    Array.from({ length: count }, (_, i): [ArmName, number] => [arm as ArmName, i + 1]),
  );
  return all
    .filter(([arm, seed]) => (onlySeeds?.includes(seed) ?? true) && (onlyArms?.includes(arm) ?? true))
    .sort(([, a], [, b]) => a - b);
}

/** The arms that --arms names. */
function namedArms(): ArmName[] | undefined {
  return values.arms?.split(",").map((arm) => {
    if (!(arm in arms))
      throw new UsageError(`--arms: there is no arm "${arm}"; there are ${Object.keys(arms).join(", ")}`);
    return arm as ArmName;
  });
}

async function pilot(settings: RunSettings): Promise<void> {
  for (const arm of namedArms() ?? ["C" as const]) {
    const { validation } = await runArm(arm, PILOT_SEED, { ...settings, results: join(settings.folder, "pilot") });
    const short = suiteNames.filter((suite) => suite.startsWith("glyph-grid") && validation[suite] < PILOT_SHARE);
    log(
      short.length === 0
        ? `In the pilot, arm ${arm} reads ${100 * PILOT_SHARE} % of every level: the seeds can be run.`
        : `In the pilot, arm ${arm} falls short on ${short.join(", ")}: lengthen the stages of all arms (protocol.ts) before any seed is run.`,
    );
  }
}

async function report({ protocol, results }: RunSettings): Promise<void> {
  const records = (await readRecords(results)).filter((record) => record.protocol === protocol.name);
  const missing = missingOf(protocol, records);
  if (missing.length > 0) {
    log(`The test stays sealed until all runs are complete. Missing: ${missing.join("; ")}`);
    if (records.length > 0 && protocol.name === "full")
      await writeResults(describeProgress(protocol, records, missing.length));
    return;
  }
  const opened = openTest(protocol, records);
  const outcome = decide(opened);
  const text = describeOutcome(protocol, opened, outcome);
  log(`\n${text}`);
  if (protocol.name === "quick") return;
  await writeText("docs/images/claim.svg", await plotAccuracy(outcome));
  await writeResults(text);
}

async function writeResults(text: string): Promise<void> {
  await writeText("docs/claim.md", insertResults(await readFile("docs/claim.md", "utf8"), text));
}

async function writeText(path: string, text: string): Promise<void> {
  await replaceFile(path, (file) => writeAll(file, new TextEncoder().encode(text)));
}

function parseNumber(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} must be a number above 0, got "${text}"`);
  return value;
}
