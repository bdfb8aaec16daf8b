// How many tokens several conversations write together: all in one process, over one language model, which shares runs among them.
// What one process does; batch.ts starts it.

import { join } from "node:path";
import type { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { type LanguageModelConfig, languageModelConfig } from "../../../src/llm/config.ts";
import { generate } from "../../../src/llm/generate.ts";
import { LanguageModel } from "../../../src/llm/language-model.ts";
import { openModelAt } from "../../../src/model/find.node.ts";
import { languageConfig } from "../../../src/model/open.ts";
import type { SessionOptions } from "../../../src/runtime/session.ts";
import { expandRow } from "../../../src/sequence/blocks.ts";
import { asConverted, type Block, benchCache, openRandomCheckpoint } from "./random-checkpoint.ts";
import { decodingConfig, decodingShapes, noHead, TEXT_ONLY } from "./shapes.ts";

export const conversations = [1, 2, 4, 8] as const;
export type Shape = "nano" | "h1024-l28" | "toy";

export interface TogetherJob {
  readonly shape: Shape;
  readonly context: number;
  /** Tokens that each writes in a round, and rounds of each number of conversations. */
  readonly written: number;
  readonly rounds: number;
  readonly block: Block;
  readonly session: SessionOptions;
}

/** Tokens per second of 1, 2, 4 and 8 conversations: of the best round each, in turns. */
export async function measureTogether(job: TogetherJob): Promise<number[]> {
  const { config, weights, close } = await openShape(job);
  const model = await LanguageModel.open(config, weights, job.session);
  try {
    const prompts = Array.from({ length: conversations.at(-1)! }, (_, i) => {
      const ids = Array.from({ length: job.context }, (_, t) => (i * 7919 + t * 31 + 7) % (config.qwen.vocab_size - 8));
      return expandRow(ids, [], model.vocabulary);
    });
    const sequences = prompts.map(() => model.start());
    await Promise.all(sequences.map((sequence, i) => sequence.read(prompts[i]!)));
    const round = async (count: number) => {
      const written = await Promise.all(
        sequences.slice(0, count).map(async (sequence, i) => {
          sequence.truncate(job.context);
          const options = { maxNewBlocks: job.written + 1, temperature: 0, mayDraw: false, stopIds: [] };
          const blocks = generate(model, sequence, prompts[i]!, options);
          await blocks.next(); // has nothing to read
          return blocks;
        }),
      );
      const start = performance.now();
      await Promise.all(
        written.map(async (blocks) => {
          for await (const _ of blocks);
        }),
      );
      return (performance.now() - start) / 1000;
    };
    const best = conversations.map(() => Number.POSITIVE_INFINITY);
    for (let i = -1; i < job.rounds; i++) {
      for (const [at, count] of conversations.entries()) {
        const seconds = await round(count);
        if (i >= 0) best[at] = Math.min(best[at]!, seconds);
      }
    }
    return conversations.map((count, at) => (count * job.written) / best[at]!);
  } finally {
    await model.dispose();
    await close();
  }
}

async function openShape({
  shape,
  block,
}: TogetherJob): Promise<{ config: LanguageModelConfig; weights: Checkpoint; close(): Promise<void> }> {
  if (shape === "nano") {
    const model = await openModelAt(join(import.meta.dirname, "../../../models/kelix-nano"));
    return { config: languageModelConfig(languageConfig(model)), weights: model.weights, close: () => model.close() };
  }
  const config = decodingConfig(decodingShapes[shape], TEXT_ONLY, noHead);
  const weights = await openRandomCheckpoint(
    join(benchCache(), `${shape}-converted-b${block}`),
    config,
    asConverted(block),
  );
  return { config, weights, close: () => weights.close() };
}
