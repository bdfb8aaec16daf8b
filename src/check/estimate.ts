// How long a check will take and how much memory it needs, announced before it starts: a large model takes minutes.

import { describeModel } from "../model/info.ts";
import type { InspectOptions } from "../options.ts";
import { openUnloaded } from "../plan/open-unloaded.ts";
import { examineMachine, planOpened } from "../plan/plan.ts";
import { withMissingWeights } from "../plan/stated-weights.ts";
import { CHECK_STEPS, type CheckPart, checkParts } from "./check.ts";

export interface CheckEstimate {
  readonly seconds: number;
  readonly memoryBytes: number;
  /** The share of each part that can be skipped. */
  readonly parts: Readonly<Record<CheckPart, number>>;
}

/** A smaller model takes seconds; measuring the machine would take longer, and most of the memory. */
const MIN_BYTES = 1e9;

/**
 * A lower bound, as all plans are; undefined for a small model. Throws if not even the configs are available.
 */
export async function estimateCheck(
  name: string,
  { skip, threads, ...options }: InspectOptions & { readonly skip: readonly CheckPart[]; readonly threads?: number },
): Promise<CheckEstimate | undefined> {
  const { model, missingBytes } = await openUnloaded(name, options);
  try {
    const whole = withMissingWeights(model, missingBytes);
    const bytes = describeModel(whole).parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (bytes < MIN_BYTES) return undefined;
    const { imagine } = whole.generation;
    const quick = { ...whole, generation: { ...whole.generation, imagine: { ...imagine, steps: CHECK_STEPS } } };
    const machine = await examineMachine(threads ? { threads } : {});
    const { answer, image } = await planOpened(quick, machine);
    const drawing = image?.parts.filter(({ what }) => ["condition", "draw", "decode"].includes(what)) ?? [];
    const parts: Record<CheckPart, number> = {
      tokenize: 3 * (answer.parts[0]?.seconds ?? 0),
      reconstruct: drawing.reduce((sum, { seconds }) => sum + seconds, 0),
      answer: answer.seconds,
      imagine: image?.seconds ?? 0,
    };
    const done = checkParts.filter((part) => !skip.includes(part));
    return {
      seconds: done.reduce((sum, part) => sum + parts[part], 0),
      memoryBytes: Math.max(answer.memoryBytes, image?.memoryBytes ?? 0),
      parts,
    };
  } finally {
    await model.close();
  }
}
