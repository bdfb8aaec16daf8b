// One engine at one task, in a process of its own: what to do comes as JSON, the times go back as a message.

import { openCheckpointAt } from "../../../src/train/open-checkpoint.ts";
import { type DecodingEngine, type TimedTask, timeTask } from "./engine.ts";
import { type KelixSettings, openKelixEngine } from "./kelix-engine.ts";
import { openLlamaEngine } from "./llama-engine.ts";
import { decodingConfig, decodingShapes, noHead, type ShapeName, TEXT_ONLY } from "./shapes.ts";

export type Job = TimedTask & { readonly shape: ShapeName } & (
    | { readonly engine: "kelix"; readonly folder: string; readonly settings: KelixSettings }
    | { readonly engine: "llama"; readonly folder: string; readonly file: string; readonly threads: number }
  );

/** For the steps of warming up. */
const SPARE_ROOM = 64;

function open(job: Job): Promise<DecodingEngine> {
  if (job.engine === "llama") {
    const room = job.size.read + job.size.written + SPARE_ROOM;
    return openLlamaEngine(job.folder, job.file, { threads: job.threads, task: job.task, room });
  }
  const config = decodingConfig(decodingShapes[job.shape], TEXT_ONLY, noHead);
  return openCheckpointAt(job.folder).then((weights) => openKelixEngine(weights, config, job.settings));
}

const job = JSON.parse(process.argv[2]!) as Job;
const engine = await open(job);
const seconds = await timeTask(engine, job);
process.send!(seconds);
await engine.release();
process.disconnect();
