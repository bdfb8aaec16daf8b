// Rejects a model that cannot fit before loading it. Otherwise the machine swaps, or the OS kills the process without a message.

import { MemoryError } from "../errors.ts";
import type { OpenedModel } from "../model/open.ts";
import type { Source } from "../model/parts.ts";
import type { MemoryGuard } from "../platform.ts";
import type { SessionOptions } from "../runtime/session.ts";
import type { SessionCache } from "../runtime/session-cache.ts";
import { sessionMemory } from "../runtime/session-memory.ts";
import { encodingGraph } from "../vision/image-tokenizer.ts";
import { type MemoryState, readMemory } from "./machine.ts";
import { drawingNeed, memoryNeed } from "./memory.ts";
import { convertedModel, weightBytes } from "./stated-weights.ts";
import { answerTask, drawingTask, tokenizeTask, usualPositions } from "./workload.ts";

/** Weights grow at most this much when loaded: from 4 bits to float32, with a copy during packing. */
const MOST_GROWTH = 12;
/** An upper bound on a drawing run's memory beside its weights: see DECODE_BYTES. */
const MOST_RESULT_BYTES = 3e9;

/** Guards the machine's memory. See Platform.guardMemory. */
export async function guardMemory(model: OpenedModel, ignoreMemory: boolean): Promise<MemoryGuard> {
  const widening = await chooseWidening(model, ignoreMemory);
  if (ignoreMemory) return { widening, checkPositions: async () => undefined, checkDrawing: async () => undefined };
  const drawn = new Set<string>();
  let mostPositions = usualPositions(model); // chooseWidening made sure of these
  return {
    widening,
    async checkPositions(positions) {
      if (positions <= mostPositions) return;
      await checkPositionsFit(model, positions, widening);
      mostPositions = positions;
    },
    async checkDrawing(source, codeGrid, sessions) {
      const key = `${source} ${codeGrid}`;
      if (drawn.has(key)) return;
      await checkDrawingFits(model, source, codeGrid, sessions);
      drawn.add(key);
    },
  };
}

/**
 * Throws a MemoryError unless the model's image tokenizer and language model fit, which every use except drawing from codes needs.
 * `memory` defaults to the machine's state.
 */
export async function checkAnswerFits(model: OpenedModel, memory?: MemoryState): Promise<void> {
  const { availableBytes } = memory ?? (await readMemory());
  if (weightBytes(model.weights) * MOST_GROWTH < availableBytes) return; // no need to trace a small model
  if (model.ar) refuseUnlessFits(model, "answer a question", (own) => memoryNeed(answerTask(own)), availableBytes);
  else refuseUnlessFits(model, "tokenize an image", (own) => memoryNeed(tokenizeTask(own)), availableBytes);
}

/**
 * When 16-bit weights are widened: at load, if that fits; else, with `ignoreMemory`, at each run, which needs far less memory and
 * far more time. Throws a MemoryError without it.
 */
export async function chooseWidening(
  model: OpenedModel,
  ignoreMemory: boolean,
  memory?: MemoryState,
): Promise<"load" | "run"> {
  try {
    await checkAnswerFits(model, memory);
    return "load";
  } catch (error) {
    if (!ignoreMemory || !(error instanceof MemoryError)) throw error;
    return "run";
  }
}

/** Throws a MemoryError unless the drawing networks fit, in turns as in `sessions`, beside everything already loaded. */
export async function checkDrawingFits(
  model: OpenedModel,
  source: Source,
  codeGrid: readonly [number, number],
  { limitBytes, openBytes }: Pick<SessionCache, "limitBytes" | "openBytes">,
  memory?: MemoryState,
): Promise<void> {
  const availableBytes = (memory ?? (await readMemory())).availableBytes + openBytes;
  const { autoencoder } = model.detokenizer;
  const networks = [model.detokenizer[source], autoencoder].flatMap((part) => (part ? [part.weights] : []));
  const stored = networks.reduce((sum, weights) => sum + weightBytes(weights), 0);
  if (stored * MOST_GROWTH + MOST_RESULT_BYTES < availableBytes) return; // no need to trace small networks
  const need = (own: OpenedModel, limit = limitBytes) => drawingNeed(drawingTask(own, source, codeGrid), limit);
  const less = Math.floor(availableBytes);
  const turns =
    less < limitBytes && need(model, less) <= availableBytes
      ? `With \`drawingBytes: ${less}\` its networks take turns in memory, which is slower. `
      : "";
  refuseUnlessFits(model, "draw an image, beside what is loaded", need, availableBytes, turns);
}

/**
 * Throws a MemoryError unless the encoder, which is already open, can read an image of this many merged positions: its memory
 * grows with their square.
 */
export async function checkPositionsFit(
  { preprocessor, tokenizer, weights }: OpenedModel,
  positions: number,
  widening: SessionOptions["widening"],
  memory?: MemoryState,
): Promise<void> {
  const { availableBytes } = memory ?? (await readMemory());
  const needed = sessionMemory(encodingGraph(tokenizer), weights, widening, { M: positions }).runBytes;
  if (needed <= availableBytes) return;
  throw new MemoryError(
    `An image of ${positions} positions needs about ${gigabytes(needed)} of memory to be read; ${gigabytes(availableBytes)} are available. ` +
      `The model's limit is max_pixels ${preprocessor.max_pixels} in its preprocessor_config.json: use a smaller image, or lower the limit. ` +
      "To read it anyway: `ignoreMemory` (--ignore-memory)",
    needed,
    availableBytes,
  );
}

function refuseUnlessFits(
  model: OpenedModel,
  what: string,
  needOf: (model: OpenedModel) => number,
  availableBytes: number,
  slower = "",
): void {
  const needed = needOf(model);
  if (needed <= availableBytes) return;
  const smaller = (model.ar ? (["int8", "int4"] as const) : [])
    .map((weights) => ({ weights, bytes: needOf(convertedModel(model, { weights })) }))
    .filter(({ bytes }) => bytes < needed);
  const option = smaller.find(({ bytes }) => bytes <= availableBytes);
  const least = smaller.at(-1);
  const advice = option
    ? `With ${option.weights} weights it needs ${gigabytes(option.bytes)}: kelix convert ${model.path} NEW_FOLDER --weights ${option.weights}`
    : least
      ? `Even with ${least.weights} weights it would need ${gigabytes(least.bytes)}`
      : "Its weights are already as small as possible";
  throw new MemoryError(
    `${model.path} needs about ${gigabytes(needed)} of memory to ${what}; ${gigabytes(availableBytes)} are available. ` +
      `${slower}${advice}. To load it anyway, as far as possible: \`ignoreMemory\` (--ignore-memory)`,
    needed,
    availableBytes,
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
