// Plans a model's needs and times on this machine from its configs and file sizes, before
// anything is loaded.

import { checkModelName } from "../arguments.ts";
import { canDraw } from "../model/drawing.ts";
import { describeModel } from "../model/info.ts";
import { languageConfig, type OpenedModel } from "../model/open.ts";
import { DEFAULT_DRAWING_BYTES, type InspectOptions, type MachineOptions } from "../options.ts";
import { readOptions } from "../read-options.ts";
import { coreCount, freeDisk, type MemoryState, readMemory } from "./machine.ts";
import { measureSpeeds } from "./measure-speeds.ts";
import { drawingNeed, memoryNeed } from "./memory.ts";
import { openUnloaded } from "./open-unloaded.ts";
import { type Speeds, type TaskSeconds, worksSeconds } from "./seconds.ts";
import { convertedModel, missingWeightBytes, withMissingWeights } from "./stated-weights.ts";
import { answersTask, answerTask, drawingTask, type Work, writingTask } from "./workload.ts";

/** A machine, as described to a plan. */
export interface Machine {
  readonly cores: number;
  readonly memory: MemoryState;
  readonly speeds: Speeds;
}

/** Memory and time of one task. */
export interface TaskPlan extends TaskSeconds {
  readonly memoryBytes: number;
  /** Whether that much memory is available now. */
  readonly fits: boolean;
}

export interface ModelPlan {
  /** As requested. */
  readonly name: string;
  readonly path: string;
  /** Why a model with all its files cannot be loaded, in sentences. */
  readonly faults: readonly string[];
  /** Unknown fields of its configs, which were skipped. */
  readonly unknownFields: readonly string[];
  readonly machine: Machine;
  readonly disk: {
    /** Bytes of the model's weights. */
    readonly modelBytes: number;
    /** Bytes of these that are missing. */
    readonly missingBytes: number;
    readonly freeBytes: number;
  };
  /** One question about an image: about 400 positions in, 32 tokens out. */
  readonly answer: TaskPlan;
  /** Memory of several such questions at once, from one `Kelix`. */
  readonly answers: { readonly count: number } & Pick<TaskPlan, "memoryBytes" | "fits">;
  /** One image for a prompt, with the model's own settings; absent if the model cannot draw. */
  readonly image?: TaskPlan;
  /** Converted versions that would need less memory. */
  readonly smaller: readonly SmallerModel[];
}

/** The memory that a model would need at lower precision. */
export interface SmallerModel {
  readonly weights: "int8" | "int4";
  readonly answerBytes: number;
  readonly imageBytes?: number;
}

/** Measures the machine, in about a second. */
export async function examineMachine(options: MachineOptions = {}): Promise<Machine> {
  const { threads } = readOptions("examineMachine", options);
  return {
    cores: coreCount(),
    memory: await readMemory(),
    speeds: await measureSpeeds({ ...(threads && { threads }) }),
  };
}

/**
 * The plan for a model by its name. For a Hub repository that is not cached, only the configs are downloaded. Throws
 * if not even these are available.
 */
export async function planModel(name: string, machine: Machine, options: InspectOptions = {}): Promise<ModelPlan> {
  checkModelName(name, "planModel(name, machine)");
  const { model, missingBytes, faults } = await openUnloaded(name, readOptions("planModel", options));
  try {
    languageConfig(model); // an image tokenizer alone cannot answer
    const whole = withMissingWeights(model, missingBytes);
    const plan = await planOpened(whole, machine, missingWeightBytes(model, whole, missingBytes));
    // A file still to be downloaded is not a fault.
    return { ...plan, name, faults: missingBytes.size > 0 ? [] : faults };
  } finally {
    await model.close();
  }
}

/** The plan for an opened model with `missingBytes` of missing weights. */
export async function planOpened(model: OpenedModel, machine: Machine, missingBytes = 0): Promise<ModelPlan> {
  const hereBytes = describeModel(model).files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const needOf = (memoryBytes: number) => ({ memoryBytes, fits: memoryBytes <= machine.memory.availableBytes });
  const plan = (memoryBytes: number, works: readonly Work[]): TaskPlan => ({
    ...needOf(memoryBytes),
    ...worksSeconds(works, machine.speeds),
  });
  const answer = answerTask(model);
  const { count, ...answers } = answersTask(model);
  return {
    name: model.path,
    path: model.path,
    faults: [],
    unknownFields: model.unknownFields,
    machine,
    disk: { modelBytes: hereBytes + missingBytes, missingBytes, freeBytes: await freeDisk(model.path) },
    answer: plan(memoryNeed(answer), answer.works),
    answers: { count, ...needOf(memoryNeed(answers)) },
    ...(canDraw(model, "hidden") && { image: plan(imageNeed(model), imageWorks(model)) }),
    smaller: smallerModels(model),
  };
}

function smallerModels(model: OpenedModel): SmallerModel[] {
  const answerBytes = memoryNeed(answerTask(model));
  const smaller = (["int8", "int4"] as const).map((weights): SmallerModel => {
    const converted = convertedModel(model, { weights });
    return {
      weights,
      answerBytes: memoryNeed(answerTask(converted)),
      ...(canDraw(model, "hidden") && { imageBytes: imageNeed(converted) }),
    };
  });
  return smaller.filter((option) => option.answerBytes < answerBytes);
}

/** Bytes of a process that writes codes and draws from them. */
export function imageNeed(model: OpenedModel): number {
  const drawing = drawingTask(model, "hidden", model.generation.imagine.grid);
  return memoryNeed(writingTask(model)) + drawingNeed(drawing, DEFAULT_DRAWING_BYTES);
}

function imageWorks(model: OpenedModel): readonly Work[] {
  return [...writingTask(model).works, ...drawingTask(model, "hidden", model.generation.imagine.grid).works];
}
