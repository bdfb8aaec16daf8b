// Trains the image tokenizer end to end: images and questions in, answers out, through a jointly trained language
// model. Three uses: `quantize: false` has continuous features (the twin that discrete codes are compared with);
// without a weight on text it trains the vision encoder alone; `quantize: true` continues with codebooks (tokenizer-start.ts).
// Auxiliary heads make the codes keep what matters (auxiliary-heads.ts); they are dropped after training.

import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { InputError } from "../../errors.ts";
import { folderFiles } from "../../files/folder.node.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { parseKeyeArConfig } from "../../llm/config.ts";
import { replaceFile, writeAll } from "../../output/atomic-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import type { WeightSource } from "../../runtime/session.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { parseSection, type RunConfig } from "../config.ts";
import type { Sample } from "../data/corpus.ts";
import { defaultCacheFolder } from "../data/icon-sets.ts";
import { kindsOf, pickKind } from "../data/mix.ts";
import { RowWriter, turnsAbout } from "../data/rows.ts";
import { Samples } from "../data/samples.ts";
import { ParameterStore, valuesOf } from "../parameter-store.ts";
import type { Stage, StageContext } from "../stage.ts";
import { traceLoss } from "../train-graph.ts";
import { type TargetsConfig, VisionTargets } from "../vision-targets.ts";
import { type BatchContext, batchOf } from "./tokenizer-batch.ts";
import { dataSchema, hasText, type Model, modelSchema, traceTokenizer } from "./tokenizer-graph.ts";
import { measureAnswers, measureClasses, measuredKinds, showPixels } from "./tokenizer-samples.ts";
import { startFromVision } from "./tokenizer-start.ts";
import { probeEmbeddings } from "./vision-probes.ts";

/** Opens the stage; if the mix has more than scenes, `kelix data` must have been run. */
export async function openTokenizerStage(run: RunConfig, { own }: StageContext = {}): Promise<Stage> {
  const data = parseSection(dataSchema, run, "data");
  const raw = parseSection(modelSchema, run, "model");
  const model: Model = { ...raw, config: parseKeyeArConfig(raw.config, "model.config") };
  const vision = model.config.tokenizer_config.vision_config;
  const kinds = [...kindsOf(data.mix), ...measuredKinds(model, data)];
  const samples = await Samples.open({ cache: data.cache, side: vision.image_size, kinds, own });
  const { corpus } = samples;
  const writer = new RowWriter(
    await TextTokenizer.load(folderFiles(data.tokenizer)),
    (vision.image_size / vision.patch_size / 2) ** 2,
  );
  const context = { samples, writer, model, data };
  const use = hasText(model) ? "question" : "image";
  const fits = (sample: Sample) => {
    if (hasText(model)) writer.understanding(turnsAbout(sample, false), data.length);
  };
  const itemsOf = async (step: number) => {
    const random = counterRandom(run.seed, "batch").fork(step);
    const items: Sample[] = [];
    for (let i = 0; i < data.batch; i++) {
      const kind = pickKind(data.mix, random.uniform(i));
      items.push(await samples.draw(kind, "train", run.seed, step * data.batch + i, use, fits));
    }
    return items;
  };
  if (model.quantize && !model.start && run.initFrom.length === 0)
    throw new InputError(
      "model.quantize: codebooks start from a vision stage (model.start) or from trained ones (initFrom)",
    );
  const targets = await openTargets(model, itemsOf, data.cache ?? defaultCacheFolder(), run.threads);
  const probe = async (weights: WeightSource, folder: string) => {
    const probes = await probeEmbeddings(weights, corpus, model);
    await recordRandomStart(`${folder}/random-start.json`, () =>
      probeEmbeddings(drawnWeights(run, context), corpus, { ...model, quantize: false }),
    );
    return probes;
  };
  return {
    losses: { conversation: (graph) => traceTokenizer(graph, model, data, corpus.concepts.length) },
    async batch(step) {
      const items = await itemsOf(step);
      const batch = batchOf(items, context, step);
      if (!targets) return batch;
      return { ...batch, feeds: { ...batch.feeds, ...(await targets.of(items.map(({ image }) => image))) } };
    },
    async prepare(store, log, given) {
      if (!model.start || given.has("visual_tokenizer.quantizer.0.embedding.weight")) return;
      if (!targets)
        throw new InputError(
          "model.start needs a weight on latents or teacher, by which features are divided among codebooks",
        );
      const images = async (batch: number) => (await itemsOf(batch)).map(({ image }) => image);
      await startFromVision(model.start, { store, model, targets, images, seed: run.seed, log });
    },
    async samples(weights, folder, step) {
      const pixels = await showPixels(weights, context, `${folder}/pixels-${step}.png`);
      const probes = corpus.concepts.length > 0 ? await probe(weights, folder) : {};
      const classes = await measureClasses(weights, context);
      return { ...pixels, ...probes, ...classes, ...(hasText(model) && (await measureAnswers(weights, context))) };
    },
    release: async () => targets?.release(),
  };
}

/** Images over which the frozen models' channels are standardised. */
const STANDARDISED = 1024;

async function openTargets(
  { weights, targets }: Model,
  itemsOf: (step: number) => Promise<readonly Sample[]>,
  cache: string,
  threads: number | undefined,
): Promise<VisionTargets | undefined> {
  for (const [weight, name] of [
    [weights.latents, "autoencoder"],
    [weights.teacher, "teacher"],
  ] as const) {
    if (weight > 0 && targets[name] === undefined)
      throw new InputError(`model.targets.${name} is missing: its loss has a weight of ${weight}`);
  }
  const used: TargetsConfig = {
    ...(weights.latents > 0 && { autoencoder: targets.autoencoder }),
    ...(weights.teacher > 0 && { teacher: resolve(cache, targets.teacher!) }),
  };
  if (Object.keys(used).length === 0) return undefined;
  const batches: RgbImage[][] = [];
  for (let seen = 0; seen < STANDARDISED; seen += batches[0]!.length)
    batches.push((await itemsOf(batches.length)).map(({ image }) => image));
  return VisionTargets.open(used, batches, threads);
}

/** The initial weights from the run's seed, before any training. */
function drawnWeights(run: RunConfig, { model, data, samples: { corpus } }: BatchContext): WeightSource {
  const { graph } = traceLoss((graph) => traceTokenizer(graph, model, data, corpus.concepts.length));
  const store = new ParameterStore(graph.parameters.values());
  store.initialize(counterRandom(run.seed, "init"));
  return memoryWeights(valuesOf(store));
}

/** Measured once per run: the probes' baseline, an untrained network. */
async function recordRandomStart(path: string, measure: () => Promise<Record<string, number>>): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  const text = `${JSON.stringify(await measure())}\n`;
  await replaceFile(path, (file) => writeAll(file, Buffer.from(text)));
}
