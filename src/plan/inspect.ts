// Describes a model without loading it: its parts, what is missing, and the memory it needs.

import { checkModelName } from "../arguments.ts";
import { canDraw } from "../model/drawing.ts";
import { describeModel, type ModelInfo } from "../model/info.ts";
import type { InspectOptions } from "../options.ts";
import { readOptions } from "../read-options.ts";
import { memoryNeed } from "./memory.ts";
import { openUnloaded } from "./open-unloaded.ts";
import { imageNeed } from "./plan.ts";
import { missingWeightBytes, withMissingWeights } from "./stated-weights.ts";
import { answerTask, tokenizeTask } from "./workload.ts";

export interface InspectedModel extends ModelInfo {
  /** Missing or mismatched parts, in sentences. Empty for a model that can be loaded. */
  readonly faults: readonly string[];
  /** Bytes of missing weights, as far as known. */
  readonly missingBytes: number;
  readonly memory: {
    /** For a process that tokenizes images. */
    readonly tokenizeBytes: number;
    /** For a process that answers a question about an image; absent without a language model. */
    readonly answerBytes?: number;
    /** For a process that draws an image; absent if the model cannot. */
    readonly imageBytes?: number;
  };
}

/** Describes a model by its name. Throws if not even its configs are available. */
export async function inspectModel(name: string, options: InspectOptions = {}): Promise<InspectedModel> {
  checkModelName(name, "inspectModel(name)");
  const { model, missingBytes, faults } = await openUnloaded(name, readOptions("inspectModel", options));
  try {
    const whole = withMissingWeights(model, missingBytes);
    return {
      ...describeModel(whole),
      faults,
      missingBytes: missingWeightBytes(model, whole, missingBytes),
      memory: {
        tokenizeBytes: memoryNeed(tokenizeTask(whole)),
        ...(whole.ar && { answerBytes: memoryNeed(answerTask(whole)) }),
        ...(canDraw(whole, "hidden") && { imageBytes: imageNeed(whole) }),
      },
    };
  } finally {
    await model.close();
  }
}
