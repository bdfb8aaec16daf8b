// The language model's speed beside llama.cpp's on the same machine and shape: one process for each engine, one at a time, in
// turns, since both suffer when they share the processor. Of each engine the best process counts; all are reported.

import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import type { Experiment, ExperimentSettings } from "../experiment.ts";
import { summarize } from "../measure.ts";
import { profile } from "../profile.ts";
import { probeReading } from "../read-bandwidth.ts";
import { type Task, type TaskSize, tasks, timeTask, WARM_UP_STEPS } from "./engine.ts";
import { inProcess } from "./in-process.ts";
import { openKelixEngine } from "./kelix-engine.ts";
import { installLlama, LLAMA_VERSION } from "./llama-engine.ts";
import {
  allFourBits,
  benchCache,
  bytesPerToken,
  openRandomCheckpoint,
  textWeightsFolder,
} from "./random-checkpoint.ts";
import { writeRandomGguf } from "./random-gguf.ts";
import { decodingConfig, decodingShapes, noHead, type ShapeName, TEXT_ONLY } from "./shapes.ts";
import type { Job } from "./worker.ts";

const sizes: Readonly<Record<Task, TaskSize>> = {
  decode: { read: 512, written: 28 },
  prefill: { read: 512, written: 0 },
  question: { read: 400, written: 32 },
};
/** Timed pieces in one process; of single tokens there are as many as are written. */
const runsPerProcess: Readonly<Record<Task, number>> = { decode: 1, prefill: 3, question: 2 };

const about: Readonly<Record<Task, string>> = {
  decode: "one token after another at context 512",
  prefill: "reading 512 tokens",
  question: "400 tokens in, 32 out",
};

/** All tasks at both shapes. */
export const decodingComparisons: readonly Experiment[] = (["h1024-l28", "h4096-l8"] as const).flatMap((shape) =>
  tasks.map((task) => ({
    name: `${task}-int4-${shape}`,
    about: `${about[task]}, 4-bit weights, beside llama.cpp`,
    report: (settings, log) => compare(task, settings.isSmall ? "toy" : shape, settings, log),
    profile: (settings) => profileTask(task, settings.isSmall ? "toy" : shape, settings),
  })),
);

/** The nodes of this project's engine, per token for single tokens, which then have hardly any context before them. */
async function profileTask(task: Task, shape: ShapeName, { session, block, blocksPerRun }: ExperimentSettings) {
  const config = decodingConfig(decodingShapes[shape], TEXT_ONLY, noHead);
  const size = task === "decode" ? { read: 1, written: 28 } : sizes[task];
  const runs = task === "decode" ? size.written + WARM_UP_STEPS : 2;
  return profile(runs, async (prefix) => {
    const weights = await openRandomCheckpoint(textWeightsFolder(shape, block), config, allFourBits(block));
    const engine = await openKelixEngine(weights, config, { ...session, blocksPerRun, profile: prefix });
    await timeTask(engine, { task, size, vocabulary: config.qwen.vocab_size, runs: 1 });
    await engine.release();
  });
}

/** What one process needs for its turn. */
type Turn = Omit<Extract<Job, { engine: "kelix" }>, "engine" | "folder" | "settings">;

async function compare(task: Task, shape: ShapeName, settings: ExperimentSettings, log: (line: string) => void) {
  const { block, session, processes } = settings;
  const threads = session.threads ?? availableParallelism();
  const size = settings.isSmall ? { read: 48, written: Math.min(sizes[task].written, 6) } : sizes[task];
  const { vocabulary } = decodingShapes[shape];
  const turn: Turn = { task, size, vocabulary, shape, runs: runsPerProcess[task] };
  const folder = textWeightsFolder(shape, block);
  const config = decodingConfig(decodingShapes[shape], TEXT_ONLY, noHead);
  const weights = await openRandomCheckpoint(folder, config, allFourBits(block));
  const weightBytes = bytesPerToken(weights, config);
  await weights.close();
  const peer = settings.hasPeer ? await preparePeer(shape, log) : undefined;
  const readGbPerS = await probeReading({ threads }, settings.isSmall ? 2 ** 24 : undefined);
  const kelixTimes: number[][] = [];
  const peerTimes: number[][] = [];
  const { blocksPerRun } = settings;
  for (let i = 0; i < processes; i++) {
    log(`process ${i + 1} of ${processes}`);
    kelixTimes.push(
      await runJob({ ...turn, engine: "kelix", folder, settings: { ...session, threads, blocksPerRun } }),
    );
    if (peer) peerTimes.push(await runJob({ ...turn, engine: "llama", ...peer, threads }));
  }
  const tokens = task === "decode" ? 1 : task === "prefill" ? size.read : size.written;
  const own = ofProcesses(kelixTimes);
  const other = peer && ofProcesses(peerTimes);
  const tokensPerS = tokens / own.best.medianS;
  const peerTokensPerS = other ? tokens / other.best.medianS : null;
  const gbPerS = task === "decode" ? weightBytes / own.best.medianS / 1e9 : null;
  return {
    ...own.best,
    tokensPerS,
    peerTokensPerS,
    /** Of the best processes. */
    ratio: peerTokensPerS === null ? null : tokensPerS / peerTokensPerS,
    /** Of the medians of all processes. */
    medianRatio: other ? other.medianS / own.medianS : null,
    /** Weights read for each token; the cache is not counted. */
    gbPerToken: weightBytes / 1e9,
    gbPerS,
    readGbPerS,
    shareOfReading: gbPerS === null ? null : gbPerS / readGbPerS,
    processMediansS: own.mediansS,
    peerProcessMediansS: other?.mediansS ?? null,
    shape: decodingShapes[shape],
    ...size,
    block,
    threads,
    cpu: cpus()[0]?.model,
    peer: peer ? `node-llama-cpp ${LLAMA_VERSION}, Q4_0` : null,
  };
}

async function preparePeer(shape: ShapeName, log: (line: string) => void) {
  const folder = await installLlama(benchCache(), log);
  const file = join(benchCache(), `${shape}-q4_0.gguf`);
  await writeRandomGguf(file, decodingShapes[shape]);
  return { folder, file };
}

/** Times of several processes: of the best in full, of all their medians and the median of those. */
function ofProcesses(times: readonly (readonly number[])[]) {
  const summaries = times.map(summarize);
  const mediansS = summaries.map(({ medianS }) => medianS);
  const best = summaries.reduce((a, b) => (b.medianS < a.medianS ? b : a));
  return { best, mediansS, medianS: summarize(mediansS).medianS };
}

function runJob(job: Job): Promise<number[]> {
  return inProcess(join(import.meta.dirname, "worker.ts"), job);
}
