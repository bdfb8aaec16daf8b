// This project's language model as an engine: its own decoder, cache and sessions over a random checkpoint. Every token is a
// text block.

import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import type { LanguageModelConfig } from "../../../src/llm/config.ts";
import { generate } from "../../../src/llm/generate.ts";
import { LanguageModel } from "../../../src/llm/language-model.ts";
import type { SessionOptions } from "../../../src/runtime/session.ts";
import { expandRow } from "../../../src/sequence/blocks.ts";
import type { DecodingEngine } from "./engine.ts";

export interface KelixSettings extends SessionOptions {
  readonly blocksPerRun?: number | undefined;
}

export async function openKelixEngine(
  weights: Checkpoint,
  config: LanguageModelConfig,
  { blocksPerRun, ...session }: KelixSettings,
): Promise<DecodingEngine> {
  const model = await LanguageModel.open(config, weights, session);
  const blocks = (tokens: readonly number[]) => expandRow(tokens, [], model.vocabulary);
  const runs = blocksPerRun === undefined ? {} : { blocksPerRun };
  return {
    read: (tokens) => model.start().read(blocks(tokens), runs),
    answer: (tokens, count) =>
      generate(model, model.start(), blocks(tokens), {
        maxNewBlocks: count,
        temperature: 0,
        mayDraw: false,
        stopIds: [],
        ...runs,
      }),
    async release() {
      await model.dispose();
      await weights.close();
    },
  };
}
