// kelix-nano as it is shipped and converted to 8 and 4 bits: seconds of an answer about an image and of an imagined image, in turns.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kelix } from "../../src/kelix.ts";
import { convertModel } from "../../src/quantize/convert.ts";
import { drawScene, sampleScene } from "../../src/train/data/scenes.ts";
import type { Experiment } from "./experiment.ts";
import { summarize, type Timing } from "./measure.ts";

const MODEL = "kelix-nano";
const precisions = ["shipped", "int8", "int4"] as const;
type Precision = (typeof precisions)[number];
const ROUNDS = 15;
/** Of which the first are not counted: sessions are opened and memory is laid out in them. */
const WARM_UP_ROUNDS = 2;
const SEED = 77;

export const nanoPrecision: Experiment = {
  name: "nano-precision",
  about: "kelix-nano as shipped, at 8 and at 4 bits: an answer about a new image, and an imagined image",
  async report({ session, isSmall }) {
    const root = await mkdtemp(join(tmpdir(), "kelix-bench-"));
    const models = new Map<Precision, Kelix>();
    try {
      for (const precision of precisions) {
        const folder = precision === "shipped" ? MODEL : join(root, precision);
        if (precision !== "shipped") await convertModel(MODEL, folder, { weights: precision });
        models.set(precision, await Kelix.load(folder, session));
      }
      const times = await measureInTurns(models, isSmall ? 1 : ROUNDS);
      return { ...times.shipped.answer, imagined: times.shipped.imagined, int8: times.int8, int4: times.int4 };
    } finally {
      for (const kelix of models.values()) await kelix.dispose();
      await rm(root, { recursive: true, force: true });
    }
  },
};

/** All answer the same questions and draw the same prompts. */
async function measureInTurns(models: ReadonlyMap<Precision, Kelix>, rounds: number) {
  const taken = precisions.map((precision) => ({ precision, answer: [] as number[], imagined: [] as number[] }));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    const seed = round + WARM_UP_ROUNDS;
    const scene = drawScene(sampleScene(SEED, seed));
    for (const { precision, answer, imagined } of taken) {
      const kelix = models.get(precision)!;
      const seconds = [
        await secondsOf(() => kelix.describe(scene, { prompt: "What is this?", maxNewTokens: 24 })),
        await secondsOf(() => kelix.imagine("two red circles", { seed })),
      ] as const;
      if (round < 0) continue;
      answer.push(seconds[0]);
      imagined.push(seconds[1]);
    }
  }
  const summaries = taken.map(({ precision, answer, imagined }) => [
    precision,
    { answer: summarize(answer), imagined: summarize(imagined) },
  ]);
  return Object.fromEntries(summaries) as Record<Precision, { answer: Timing; imagined: Timing }>;
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
