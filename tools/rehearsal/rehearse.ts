// The dress rehearsal: a model of the released sizes with random weights is written, converted, asked and made to draw, each in a
// process of its own. Everything is removed at the end, whatever happens.

import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeFolder } from "../../src/hub/make-folder.ts";
import type { OpenedModel } from "../../src/model/open.ts";
import { DEFAULT_DRAWING_BYTES } from "../../src/options.ts";
import { freeDisk } from "../../src/plan/machine.ts";
import { BASE_BYTES, drawingNeed, memoryNeed } from "../../src/plan/memory.ts";
import { convertedModel, weightBytes } from "../../src/plan/stated-weights.ts";
import { answerTask, drawingTask, writingTask } from "../../src/plan/workload.ts";
import { releasedSizes, smallSizes } from "./configs.ts";
import type { PartResult } from "./part.ts";
import { halfSide, type PartName, type PartRequest } from "./parts.ts";
import { unwrittenModel } from "./unwritten-model.ts";
import { watchMemory } from "./watch-memory.ts";
import { modelBytes } from "./write-model.ts";

export interface RehearsalOptions {
  readonly isSmall: boolean;
  /** Where the model is written, in a new folder. */
  readonly parent: string;
  /** Leaves the two models on the disk. */
  readonly isKept: boolean;
  readonly signal?: AbortSignal;
  /** Told what comes next. */
  readonly onNews?: (text: string) => void;
}

export interface RehearsedPart extends PartResult {
  readonly name: string;
  /** The most that the process had of its own: without pages of mapped files. Only Linux tells. */
  readonly peakOwnBytes?: number;
  /** What `kelix plan` says that the part needs in memory. */
  readonly plannedBytes?: number;
}

export interface Rehearsal {
  readonly folder: string;
  readonly modelBytes: number;
  readonly convertedBytes: number;
  readonly parts: readonly RehearsedPart[];
}

/** What the rehearsal writes; the second figure is that of the converted copy. */
export function rehearsalBytes(isSmall: boolean): readonly [modelBytes: number, convertedBytes: number] {
  const configs = isSmall ? smallSizes : releasedSizes;
  const { weights, detokenizer } = convertedModel(unwrittenModel("", configs), { weights: "int4" });
  const parts = [weights, detokenizer.hidden!.weights, detokenizer.autoencoder!.weights];
  return [modelBytes(configs), parts.reduce((sum, part) => sum + weightBytes(part), 0)];
}

/** Runs every part in turn. Throws before anything is written when the disk has too little room. */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  const { isSmall, parent, signal, onNews } = options;
  const [model, converted] = rehearsalBytes(isSmall);
  await checkRoom(parent, model, converted, onNews);
  await makeFolder(parent);
  const folder = await mkdtemp(join(parent, "kelix-rehearsal-"));
  try {
    const request: PartRequest = { isSmall, source: join(folder, "released"), target: join(folder, "int4") };
    await mkdir(request.source);
    const planned = plannedMemory(isSmall);
    const done: RehearsedPart[] = [];
    const run = async (part: PartName, name: string, what: string) => {
      signal?.throwIfAborted();
      onNews?.(what);
      const plannedBytes = planned[part];
      done.push({ name, ...(plannedBytes && { plannedBytes }), ...(await runPart(part, request, signal)) });
    };
    await run("write", "write", `writing the model into ${folder}`);
    await run("convert", "convert", "converting it to 4 bits");
    await run("answer", "answer", "answering two questions about an image");
    await run("beginImage", "begin an image", "writing the first blocks of an image");
    await run("draw", "draw", "drawing with a few steps");
    await run("drawSmaller", "draw at half the side", "drawing with half as many pixels a side");
    await run("drawAsItLies", "draw from 16 bits", "drawing from the 16-bit files");
    await forgetFiles(request.source);
    await run("asItLies", "answer from 16 bits, cold", "answering from the 16-bit files, which are not in memory");
    await run("asItLies", "answer from 16 bits, warm", "answering from the 16-bit files again");
    return { folder, modelBytes: model, convertedBytes: converted, parts: done };
  } finally {
    if (!options.isKept) await rm(folder, { recursive: true, force: true });
  }
}

async function checkRoom(
  parent: string,
  model: number,
  converted: number,
  onNews: RehearsalOptions["onNews"],
): Promise<void> {
  const free = await freeDisk(parent);
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const need = `The rehearsal writes a model of ${gigabytes(model)} and a converted copy of ${gigabytes(converted)} into ${parent}`;
  if (model + converted > free) {
    throw new Error(`${need}; only ${gigabytes(free)} are free there. Name another place with --dir, or try --small`);
  }
  onNews?.(`${need}, where ${gigabytes(free)} are free`);
}

function plannedMemory(isSmall: boolean): Partial<Record<PartName, number>> {
  const model = unwrittenModel("", isSmall ? smallSizes : releasedSizes);
  const converted = convertedModel(model, { weights: "int4" });
  const drawing = (own: OpenedModel) =>
    BASE_BYTES + drawingNeed(drawingTask(own, "hidden", own.generation.imagine.grid), DEFAULT_DRAWING_BYTES);
  return {
    answer: memoryNeed(answerTask(converted)),
    beginImage: memoryNeed(writingTask(converted)),
    draw: drawing(converted),
    drawSmaller: drawing(halfSide(converted)),
    drawAsItLies: drawing(model),
  };
}

/** Runs a part in a process of its own, which is ended when the signal is aborted. */
function runPart(part: PartName, request: PartRequest, signal: AbortSignal | undefined) {
  const here = fileURLToPath(import.meta.url);
  const program = join(here, "..", `part${extname(here)}`);
  return new Promise<PartResult & Pick<RehearsedPart, "peakOwnBytes">>((resolve, reject) => {
    const child: ChildProcess = fork(program, [JSON.stringify({ part, ...request })]);
    const stop = () => void child.kill("SIGKILL");
    signal?.addEventListener("abort", stop, { once: true });
    const watch = watchMemory(child.pid);
    let result: PartResult | undefined;
    child.on("message", (message) => {
      result = message as PartResult;
    });
    child.on("error", reject);
    child.on("exit", (status, by) => {
      signal?.removeEventListener("abort", stop);
      const peakOwnBytes = watch.stop();
      if (signal?.aborted) reject(signal.reason as Error);
      else if (result && status === 0) resolve({ ...result, ...(peakOwnBytes && { peakOwnBytes }) });
      else reject(new Error(`The part "${part}" ended with ${by ? `the signal ${by}` : `status ${status}`}`));
    });
  });
}

/** Asks the system to drop files from its memory, so that they are read from the disk next. Does nothing where there is no GNU dd. */
async function forgetFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder, { recursive: true })) {
    if (name.endsWith(".safetensors")) {
      spawnSync("dd", [`if=${join(folder, name)}`, "iflag=nocache", "count=0", "status=none"], { stdio: "ignore" });
    }
  }
}
