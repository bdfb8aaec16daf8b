// Trains the language model on blocks: images are codes of the frozen tokenizer, in questions
// and in answers (requests to draw). It starts from the trunk that was trained with the tokenizer: each code's
// embedding comes from the tokenizer's own projection, so that nothing learned there is lost.

import * as z from "zod";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { folderFiles } from "../../files/folder.node.ts";
import { type KeyeArConfig, languageModelConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { LanguageModel } from "../../llm/language-model.ts";
import { counterRandom } from "../../random/counter.ts";
import { openSession, type WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { bookSize } from "../../vision/config.ts";
import { codebook } from "../../vision/quantizer.ts";
import { BatchTokenizer } from "../batch-tokenizer.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { defaultCacheFolder } from "../data/icon-sets.ts";
import { kindsOf } from "../data/mix.ts";
import { RowWriter } from "../data/rows.ts";
import { Samples } from "../data/samples.ts";
import { layersSchema, openLayers } from "../layers.ts";
import type { ParameterStore } from "../parameter-store.ts";
import type { Stage, StageContext } from "../stage.ts";
import { dataSchema, measureRoom, packBatch, sampleRows, traceBlocks, type WrittenData } from "./language-batch.ts";
import { showAnswers } from "./language-samples.ts";

const modelSchema = z.strictObject({
  config: z.record(z.string(), z.unknown()),
  /** Weights of the frozen image tokenizer: a file or folder with `visual_tokenizer.*`. */
  visualTokenizer: layersSchema,
});

/** Opens the stage; needs the corpus and a trained tokenizer. */
export async function openLanguageModelStage(run: RunConfig, { own }: StageContext = {}): Promise<Stage> {
  const written = parseSection(dataSchema, run, "data");
  const model = parseSection(modelSchema, run, "model");
  const config = parseKeyeArConfig(model.config, "model.config");
  const vision = config.tokenizer_config.vision_config;
  const kinds = kindsOf(written.questions, written.requests);
  const samples = await Samples.open({ cache: written.cache, side: vision.image_size, kinds, own });
  const weights = await openLayers(model.visualTokenizer);
  const tokenizer = await BatchTokenizer.open(
    config.tokenizer_config,
    weights,
    written.batch + written.edits,
    run.threads,
  );
  const text = await TextTokenizer.load(folderFiles(written.tokenizer));
  const writer = new RowWriter(text, tokenizer.positions);
  const slots = config.qwen_config.n_q_tokens + 1;
  const rowsOf = (data: WrittenData, step: number) =>
    sampleRows(samples, writer, data, { seed: run.seed, step, slots });
  const data = await measureRoom(written, (step) => rowsOf(written, step), writer.imageId, slots);
  return {
    losses: { blocks: (graph) => traceBlocks(graph, config, data) },
    async batch(step) {
      const rows = await rowsOf(data, step);
      const codes = await tokenizer.codes(rows.flatMap(({ images }) => images));
      return packBatch(rows, codes, counterRandom(run.seed, "wrong codes").fork(step), config, data, writer.padId);
    },
    async prepare(store, log, given) {
      // A model that already writes blocks is kept as it is.
      if (!given.has(TOKEN_HEAD)) await seedFromTokenizer(store, config, weights, log);
    },
    async samples(trained, folder, step) {
      const options = run.threads === undefined ? {} : { threads: run.threads };
      const language = await LanguageModel.open(languageModelConfig(config), withOutput(trained), options);
      const single = await BatchTokenizer.open(config.tokenizer_config, weights, 1, run.threads);
      const asking = { kinds: kindsOf(data.questions), cacheFolder: data.cache ?? defaultCacheFolder() };
      const parts = { samples, tokenizer: single, writer, text, length: data.length, ...asking };
      const numbers = await showAnswers(language, parts, `${folder}/answers-${step}.md`);
      await single.release();
      await language.dispose();
      return numbers;
    },
    release: async () => {
      await tokenizer.release();
      await weights.close();
    },
  };
}

const LM_HEAD = "lm_head.weight";
const TOKEN_HEAD = "model.model.token_head.output_linear.weight";
const OUTPUT = "model.model.output.weight";

/** Weights under generation's names: one matrix under both names. */
function withOutput(weights: WeightSource): WeightSource {
  return { find: (name) => weights.find(name === OUTPUT ? LM_HEAD : name) };
}

/**
 * Sets each visual entry of the embedding table to the tokenizer's own embedding of that code (so that a block's sum is what
 * the trunk was trained to read), and zeroes the token head's output, so that the head starts as the identity.
 */
async function seedFromTokenizer(
  store: ParameterStore,
  config: KeyeArConfig,
  source: Checkpoint,
  log: (line: string) => void,
): Promise<void> {
  const { tokenizer_config: tokenizer, qwen_config: qwen } = config;
  const graph = new Graph();
  const p = graph.params.at("visual_tokenizer");
  for (let i = 0; i < tokenizer.n_q_tokens; i++) {
    const up = p.at("up_projectors", i).get("weight", [tokenizer.output_dim, tokenizer.embedding_dim]);
    graph.output(`book${i}`, codebook(p, i, tokenizer).linear(up).div(tokenizer.n_q_tokens));
  }
  const session = await openSession(graph, source);
  const books = await session.run({});
  await session.release();
  const table = store.view("values", "model.model.tok_embeddings.embed_tokens.weight");
  for (let i = 0; i < tokenizer.n_q_tokens; i++) {
    table.set(books[`book${i}`]!.data as Float32Array, (qwen.vocab_size + i * bookSize(tokenizer)) * qwen.embed_dim);
  }
  store.view("values", TOKEN_HEAD).fill(0);
  // The tokenizer's stage trained the matrix under generation's name; this stage uses training's name.
  store.set("values", LM_HEAD, await source.read(OUTPUT));
  log("code embeddings start from the tokenizer's; the token head starts as the identity");
}
