// The time to the first token of a second question to the same image, as a share of the first's: what was read before is not
// read again. With kelix-nano as it is used, and with a random model of Qwen3 0.6B's shape.

import { Kelix } from "../../../src/kelix.ts";
import { LanguageModel } from "../../../src/llm/language-model.ts";
import { PrefixCache } from "../../../src/llm/prefix-cache.ts";
import { counterRandom } from "../../../src/random/counter.ts";
import { expandRow } from "../../../src/sequence/blocks.ts";
import type { BlockIds } from "../../../src/sequence/layout.ts";
import type { Experiment } from "../experiment.ts";
import { summarize } from "../measure.ts";
import { allFourBits, openRandomCheckpoint, textWeightsFolder } from "./random-checkpoint.ts";
import { decodingConfig, decodingShapes, noHead, TEXT_ONLY } from "./shapes.ts";

const RUNS = 31;
const SIDE = 96;

export const secondQuestion: Experiment = {
  name: "second-question",
  about: "time to the first token of a second question to one image, as a share of the first's; kelix-nano",
  async report({ session, isSmall }) {
    const kelix = await Kelix.load("kelix-nano", session);
    const ask = async (image: ReturnType<typeof randomImage>, text: string) => {
      const content = [{ type: "image", image } as const, { type: "text", text } as const];
      const start = performance.now();
      let first: number | undefined;
      for await (const _ of kelix.chat([{ role: "user", content }], { maxNewTokens: 8 })) first ??= performance.now();
      return ((first ?? performance.now()) - start) / 1000;
    };
    try {
      return await measurePairs(isSmall ? 1 : RUNS, async (run) => {
        const image = randomImage(run);
        return [await ask(image, "What is this?"), await ask(image, "What colour is it?")];
      });
    } finally {
      await kelix.dispose();
    }
  },
};

/** Blocks that both questions begin with, an image's, and blocks of each question. */
const [SHARED, OWN] = [376, 24];

export const secondQuestionAtSize: Experiment = {
  name: "second-question-int4-h1024-l28",
  about: `the same without its vision encoder: ${SHARED} blocks in common, ${OWN} of each question, 4-bit weights`,
  async report({ session, block, isSmall, blocksPerRun }) {
    const shape = isSmall ? "toy" : "h1024-l28";
    const config = decodingConfig(decodingShapes[shape], TEXT_ONLY, noHead);
    const weights = await openRandomCheckpoint(textWeightsFolder(shape, block), config, allFourBits(block));
    const model = await LanguageModel.open(config, weights, session);
    const ask = async (cache: PrefixCache, row: BlockIds) => {
      const start = performance.now();
      const sequence = cache.take(row);
      await sequence.read(row.subarray(sequence.blocks.length), { blocksPerRun });
      await sequence.scoreText();
      cache.keep(sequence);
      return (performance.now() - start) / 1000;
    };
    try {
      return await measurePairs(isSmall ? 1 : RUNS, async () => {
        const cache = new PrefixCache(model, 2 ** 30);
        const row = (question: number) =>
          expandRow(
            Array.from({ length: SHARED + OWN }, (_, t) => (t < SHARED ? 7 + t : 7 + question * OWN + t)),
            [],
            model.vocabulary,
          );
        return [await ask(cache, row(1)), await ask(cache, row(2))];
      });
    } finally {
      await model.dispose();
      await weights.close();
    }
  },
};

/** Times of second questions, and of the first ones before them; one pair is not counted. */
async function measurePairs(runs: number, pair: (run: number) => Promise<[first: number, second: number]>) {
  const pairs: [number, number][] = [];
  for (let run = 0; run <= runs; run++) pairs.push(await pair(run));
  const [first, second] = [0, 1].map((i) => summarize(pairs.slice(1).map((times) => times[i]!)));
  return { ...second!, first: first!, shareOfFirst: second!.medianS / first!.medianS };
}

function randomImage(seed: number) {
  const random = counterRandom(seed, "picture");
  const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => random.integer(i, 256));
  return { width: SIDE, height: SIDE, data };
}
