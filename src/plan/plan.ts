// What a model will need and how long it will take on this machine: read off its configs and the sizes of its files, before
// anything is loaded.

import type { ModelFolder } from "../model-folder.ts";
import { coreCount, freeDisk, type MemoryState, readMemory } from "./machine.ts";
import { measureSpeeds } from "./measure-speeds.ts";
import { type MemoryNeed, memoryNeed } from "./memory.ts";
import { type Speeds, type TaskSeconds, taskSeconds } from "./seconds.ts";
import { answerTask, pictureTask, type Task } from "./workload.ts";

/** A machine as a plan sees it. */
export interface Machine {
  readonly cores: number;
  readonly memory: MemoryState;
  readonly speeds: Speeds;
}

/** The need and the time of one task. */
export interface TaskPlan extends TaskSeconds {
  readonly memory: MemoryNeed;
  /** Whether that much memory is available now. */
  readonly fits: boolean;
}

export interface ModelPlan {
  readonly path: string;
  readonly machine: Machine;
  readonly disk: {
    /** Bytes of the model's weights. */
    readonly modelBytes: number;
    /** Of them, bytes that are not here yet. */
    readonly missingBytes: number;
    readonly freeBytes: number;
  };
  /** One question about a picture: about 400 positions in, 32 tokens out. */
  readonly answer: TaskPlan;
  /** One picture for a prompt, with the model's own settings; absent where the model cannot draw. */
  readonly picture?: TaskPlan;
}

/** Measures the machine, in about a second. */
export async function examineMachine(options: { readonly threads?: number } = {}): Promise<Machine> {
  return { cores: coreCount(), memory: await readMemory(), speeds: await measureSpeeds(options) };
}

/** The plan for a model whose weights may be missing, `missingBytes` of them. */
export async function planModel(model: ModelFolder, machine: Machine, missingBytes = 0): Promise<ModelPlan> {
  const { hidden, codes, autoencoder } = model.detokenizer;
  const checkpoints = new Set([model, hidden, codes, autoencoder].flatMap((part) => (part ? [part.weights] : [])));
  const hereBytes = [...checkpoints].flatMap(({ files }) => files).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const plan = (task: Task): TaskPlan => {
    const memory = memoryNeed(task);
    return { memory, fits: memory.bytes <= machine.memory.availableBytes, ...taskSeconds(task, machine.speeds) };
  };
  return {
    path: model.path,
    machine,
    disk: { modelBytes: hereBytes + missingBytes, missingBytes, freeBytes: await freeDisk(model.path) },
    answer: plan(answerTask(model)),
    ...(canDraw(model) && { picture: plan(pictureTask(model)) }),
  };
}

function canDraw(model: ModelFolder): boolean {
  const { hidden, autoencoder } = model.detokenizer;
  return hidden !== undefined && autoencoder !== undefined;
}
