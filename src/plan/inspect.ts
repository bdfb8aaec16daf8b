// A model described without loading it: its parts, what is missing of them, and the memory that it will need.

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
  /** What is missing or does not fit, in sentences. Empty for a model that can be loaded. */
  readonly faults: readonly string[];
  /** Bytes of weights that are not here, as far as is known. */
  readonly missingBytes: number;
  readonly memory: {
    /** Of a process that turns images into codes. */
    readonly tokenizeBytes: number;
    /** Of a process that answers a question about an image; absent where there is no language model. */
    readonly answerBytes?: number;
    /** Of a process that draws an image; absent where the model cannot. */
    readonly imageBytes?: number;
  };
}

/** Describes a model by its name. Throws where not even its configs can be had. */
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
