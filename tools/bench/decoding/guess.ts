// What guessing tokens costs: a step that reads several blocks and scores the text after each, in steps of one block. A guess pays
// when it is right more often than that.

import { LanguageModel } from "../../../src/llm/language-model.ts";
import type { Sequence } from "../../../src/llm/sequence.ts";
import { expandRow } from "../../../src/sequence/blocks.ts";
import type { Experiment, ExperimentSettings } from "../experiment.ts";
import { summarize } from "../measure.ts";
import { allFourBits, openRandomCheckpoint, textWeightsFolder } from "./random-checkpoint.ts";
import { decodingConfig, decodingShapes, noHead, type ShapeName, TEXT_ONLY } from "./shapes.ts";

const CONTEXT = 512;
/** One block, and guesses of 1, 2, 4 and 8 after it. */
const LENGTHS = [1, 2, 3, 5, 9] as const;
const ROUNDS = 12;
const WARM_UP_ROUNDS = 2;

export const guessing: readonly Experiment[] = (["h1024-l28", "h4096-l8"] as const).map((shape) => ({
  name: `guess-int4-${shape}`,
  about: `a step of ${LENGTHS.join(", ")} blocks at context ${CONTEXT} with their scores, 4-bit weights`,
  report: (settings) => timeSteps(settings.isSmall ? "toy" : shape, settings),
}));

async function timeSteps(shape: ShapeName, { session, block, isSmall }: ExperimentSettings) {
  const config = decodingConfig(decodingShapes[shape], TEXT_ONLY, noHead);
  const weights = await openRandomCheckpoint(textWeightsFolder(shape, block), config, allFourBits(block));
  const model = await LanguageModel.open(config, weights, session);
  const row = (length: number) =>
    expandRow(
      Array.from({ length }, (_, t) => 7 + t),
      [],
      model.vocabulary,
    );
  try {
    const sequence = model.start();
    await sequence.read(row(isSmall ? 16 : CONTEXT));
    const times = new Map<number, number[]>(LENGTHS.map((length) => [length, []]));
    // In turns, so that all lengths meet the same disturbances.
    for (let round = -WARM_UP_ROUNDS; round < (isSmall ? 2 : ROUNDS); round++) {
      for (const length of LENGTHS) {
        const seconds = await timeStep(sequence, row(length), length);
        if (round >= 0) times.get(length)!.push(seconds);
      }
    }
    const one = summarize(times.get(1)!);
    const costs = LENGTHS.map((length) => [length, summarize(times.get(length)!).medianS / one.medianS]);
    return { ...one, costInSteps: Object.fromEntries(costs) };
  } finally {
    await model.dispose();
    await weights.close();
  }
}

/** Seconds to read blocks and score what may follow each; the sequence is then as it was. */
async function timeStep(sequence: Sequence, blocks: Int32Array, count: number): Promise<number> {
  const before = sequence.length;
  const start = performance.now();
  await sequence.read(blocks);
  await sequence.scoreText(count);
  const seconds = (performance.now() - start) / 1000;
  sequence.truncate(before);
  return seconds;
}
