// Training of the image tokenizer end to end: pictures and questions in, answers out, through a language model that is
// trained along. Three uses: `quantize: false` has continuous features (the twin that discrete codes are measured against);
// without a weight on text it trains the vision encoder alone; `quantize: true` goes on with codebooks that start at k-means centres.
// Auxiliary heads see to it that codes keep what matters (auxiliary-heads.ts); they are dropped when training ends.

import { folderFiles } from "../../files/folder.node.ts";
import { parseKeyeArConfig } from "../../llm/config.ts";
import { counterRandom } from "../../random/counter.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { openCorpus } from "../data/corpus.ts";
import { RowWriter } from "../data/rows.ts";
import type { Stage } from "../stage.ts";
import { batchOf } from "./tokenizer-batch.ts";
import { seedCodebooks } from "./tokenizer-codebooks.ts";
import { dataSchema, hasText, type Model, modelSchema, traceTokenizer } from "./tokenizer-graph.ts";
import { measureAnswers, measureClasses, showPixels } from "./tokenizer-samples.ts";

/** Opens the stage; the corpus must have been fetched by `npm run data`. */
export async function openTokenizerStage(run: RunConfig): Promise<Stage> {
  const data = parseSection(dataSchema, run, "data");
  const raw = parseSection(modelSchema, run, "model");
  const model: Model = { ...raw, config: parseKeyeArConfig(raw.config, "model.config") };
  const vision = model.config.tokenizer_config.vision_config;
  const corpus = await openCorpus(data.cache, vision.image_size);
  const writer = new RowWriter(
    await TextTokenizer.load(folderFiles(data.tokenizer)),
    (vision.image_size / vision.patch_size / 2) ** 2,
  );
  return {
    losses: { conversation: (graph) => traceTokenizer(graph, model, data, corpus.concepts.length) },
    async batch(step) {
      const random = counterRandom(run.seed, "batch").fork(step);
      const items = Array.from({ length: data.batch }, (_, i) => {
        const kind = random.uniform(i) < data.scenes ? "scene" : "emoji";
        return corpus.sample(kind, "train", run.seed, step * data.batch + i);
      });
      return batchOf(items, { corpus, writer, model, data }, step);
    },
    async prepare(store, log) {
      if (model.quantize) await seedCodebooks(store, corpus, model, run.seed, log);
    },
    async samples(weights, folder, step) {
      const pixels = await showPixels(weights, corpus, model, `${folder}/pixels-${step}.png`);
      const context = { corpus, writer, model, data };
      const classes = await measureClasses(weights, context);
      return { ...pixels, ...classes, ...(hasText(model) && (await measureAnswers(weights, context))) };
    },
  };
}
