// One visual block at the released vocabulary: how much of it goes into the output matrix when only the rows that the grammar
// admits are read (a book for each slot, and vision_end), and when every slot meets all of them, as in the reference.

import { join } from "node:path";
import { blockVocabulary, type LanguageModelConfig } from "../../../src/llm/config.ts";
import { generate } from "../../../src/llm/generate.ts";
import { LanguageModel } from "../../../src/llm/language-model.ts";
import type { SessionOptions, WeightSource } from "../../../src/runtime/session.ts";
import { textBlock } from "../../../src/sequence/blocks.ts";
import type { Experiment } from "../experiment.ts";
import { summarize } from "../measure.ts";
import { type Profile, profile } from "../profile.ts";
import { asConverted, benchCache, openRandomCheckpoint } from "./random-checkpoint.ts";
import { BOOKS, decodingConfig, decodingShapes, releasedHead } from "./shapes.ts";

const RELEASED_CODEBOOKS = 65_536;
const TOY_CODEBOOKS = BOOKS * 96;
const WARM_UP_BLOCKS = 2;
const BLOCKS = 12;

export const visualBlock: Experiment = {
  name: "visual-block",
  about:
    "a block of 8 codes at 217,472 entries, width 4096, 8 layers, as converted to int4: share of the output matrix",
  async report({ session, block, isSmall }) {
    const shape = isSmall ? "toy" : "h4096-l8";
    const config = decodingConfig(decodingShapes[shape], isSmall ? TOY_CODEBOOKS : RELEASED_CODEBOOKS, releasedHead);
    const folder = join(benchCache(), `visual-${shape}-converted-b${block}`);
    const weights = await openRandomCheckpoint(folder, config, asConverted(block));
    try {
      return { ...(await measureBlocks(config, weights, session)), shape: decodingShapes[shape], block };
    } finally {
      await weights.close();
    }
  },
};

async function measureBlocks(config: LanguageModelConfig, weights: WeightSource, session: SessionOptions) {
  const seconds = await writeBlocks(config, weights, session);
  const trace = await profile(1, async (prefix) => {
    await writeBlocks(config, weights, { ...session, profile: prefix });
  });
  const { codebook_size: S, n_q_tokens: N } = config.qwen;
  return {
    ...summarize(seconds),
    outputShare: outputShare(trace, [S / N, 1]),
    /** Rows of the output matrix that one block reads. */
    outputRows: S + 1,
  };
}

/** Seconds of each block of one image, greedily; the first ones do not count. */
async function writeBlocks(
  config: LanguageModelConfig,
  weights: WeightSource,
  session: SessionOptions,
): Promise<number[]> {
  const model = await LanguageModel.open(config, weights, session);
  const vocabulary = blockVocabulary(config.qwen);
  // Nothing but the beginning of an image is read: all runs of the trunk are then single steps.
  const prompt = textBlock(vocabulary.visionStart, vocabulary);
  const count = WARM_UP_BLOCKS + BLOCKS;
  const options = { maxNewBlocks: count, blocksPerImage: count, temperature: 0 };
  const seconds: number[] = [];
  try {
    let start = performance.now();
    for await (const _ of generate(model, model.start(), prompt, options)) {
      const now = performance.now();
      seconds.push((now - start) / 1000);
      start = now;
    }
  } finally {
    await model.dispose();
  }
  return seconds.slice(WARM_UP_BLOCKS);
}

/** The share of the products with matrices of so many quantised rows in the time of all operations. */
export function outputShare({ byShape, msPerRun }: Profile, rows: readonly number[]): number {
  const isOutput = (what: string) => {
    const [, second] = [...what.matchAll(/\[(\d+)[^\]]*\]/g)];
    return what.startsWith("MatMulNBits") && rows.includes(Number(second?.[1]));
  };
  const own = byShape.filter(({ what }) => isOutput(what)).reduce((sum, row) => sum + row.msPerRun, 0);
  if (own === 0) throw new Error(`no operation of the trace is a product with ${rows.join(" or ")} quantised rows`);
  return own / msPerRun;
}
