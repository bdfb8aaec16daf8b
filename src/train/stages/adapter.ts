// Trains a low-rank adapter on a frozen language model, with a user's conversations about images and rows of the model's own
// output among them (replay.ts). The model stays in its files, at its stored precision.

import { join } from "node:path";
import { z } from "zod";
import { weightsFor } from "../../checkpoint/device-weights.ts";
import { readJsonIfPresent } from "../../checkpoint/json-file.ts";
import { InputError, quote } from "../../errors.ts";
import { fileAt, folderFiles } from "../../files/folder.node.ts";
import { type LanguageModelConfig, languageModelConfig } from "../../llm/config.ts";
import { LanguageModel } from "../../llm/language-model.ts";
import { preparationOf } from "../../model/config.ts";
import { checkModel } from "../../model/declare.ts";
import { openModelAt } from "../../model/find.node.ts";
import { languageConfig } from "../../model/open.ts";
import { lowRankAdapters } from "../../nn/adapter.ts";
import { replaceFile, writeAll } from "../../output/atomic-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, i32 } from "../../runtime/host-tensor.ts";
import type { WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { loadText } from "../../text/load-text.ts";
import { threadSandbox } from "../../text/sandbox.node.ts";
import { ImageTokenizer } from "../../vision/image-tokenizer.ts";
import { parseSection, type RunConfig } from "../config.ts";
import { type ConversationRow, ConversationRows, type RowSize } from "../conversation-rows.ts";
import { sourceSchema } from "../data/own-data.ts";
import { describeQuestions } from "../data/phrasing.ts";
import { ExampleRows } from "../example-rows.ts";
import { type TrainingSizes, traceLanguageModelLoss } from "../loss/language-model-loss.ts";
import { Replay, type ReplayRow, type ReplayRows } from "../replay.ts";
import { DEFAULT_IMAGES, openReplayImages } from "../replay-images.ts";
import { pathSchema } from "../settings.ts";
import type { Batch, Stage, StageContext } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";
import { writeAdapter } from "../write-adapter.ts";

const dataSchema = z.strictObject({
  source: sourceSchema,
  /** Rows of a batch. */
  batch: z.int().min(1).max(4096),
  /** How many of them the model wrote itself, from a store of rows about this many images. */
  replay: z.int().min(0).max(4096),
  replayImages: z.int().min(0).max(1_000_000).optional(),
  /** Images for replay questions, or a file of their codes: see replay-images.ts. */
  replayPath: pathSchema.optional(),
  /** Augmented views of each image; the first is the image itself. */
  variants: z.int().min(1).max(10_000),
});

const modelSchema = z.strictObject({
  /** The frozen model: its name or folder. */
  base: pathSchema,
  rank: z.int().min(1).max(4096),
  alpha: z.number().min(0).max(1e6),
  /** The adapter is written with alpha times this. */
  strength: z.number().min(0).max(1),
  targets: z.array(z.string().min(1).max(1000)).min(1).max(1000),
  /** The new folder that the adapter is written to. */
  out: pathSchema,
});

const sizeSchema = z.strictObject({ blocks: z.int(), scored: z.int(), labels: z.int() }).readonly();

const numbers = z.array(z.int()).readonly();
const likely = z.array(z.tuple([z.int(), z.number().min(0).max(1)]).readonly()).readonly();
const rowSchema = z.strictObject({ ids: numbers, mask: numbers, codes: numbers });
const answerSchema = rowSchema.extend({ likely: z.array(likely).readonly().optional() });

/** Prepared once before the first step, and read again when a run is resumed. */
const preparedSchema = z.strictObject({
  key: z.string(),
  /** Sizes of the largest row of the data, of the model's answers, and of its drawings. */
  sizes: z.tuple([sizeSchema, sizeSchema, sizeSchema]),
  answers: z.array(answerSchema).readonly(),
  drawings: z.array(rowSchema).readonly(),
});
type Prepared = z.infer<typeof preparedSchema>;

const MAX_PREPARED_BYTES = 1_000_000_000;
/** Further questions to the model. Its answers, right or wrong, are what it should keep saying. */
const otherQuestions = [
  "What colour is it?",
  "What color is this?",
  "What shape is it?",
  "How many shapes are there?",
  "How many are there?",
  "Is there a red circle?",
  "Is there a face?",
  "What is on the left?",
];
/** One in this many replayed rows draws an image: those are long. */
const DRAWN = 6;
/** Rows whose sizes determine the capacity of every row. */
const MEASURED = 64;
/** Capacities are multiples of this, which suits matrix products. */
const STEP = 8;

/** Opens the stage. Throws an InputError for unusable data and for targets that the model lacks. */
export async function openAdapterStage(run: RunConfig, { log = () => {}, signal, own }: StageContext): Promise<Stage> {
  if (!own) throw new InputError("data.source: names no data to train on");
  const data = parseSection(dataSchema, run, "data");
  const model = parseSection(modelSchema, run, "model");
  const folder = await openModelAt(model.base);
  const opened: (() => Promise<unknown>)[] = [() => folder.close()];
  const release = async () => {
    for (const close of opened.reverse()) await close();
  };
  try {
    checkModel(folder);
    const config = languageModelConfig(languageConfig(folder));
    const text = await loadText(folderFiles(folder.path), threadSandbox);
    const weights = await weightsFor("cpu", folder.weights);
    const adapted = findTargets(config, model.targets);
    log(`adapting ${adapted.size} linear maps of ${folder.path} with rank ${model.rank}`);
    const options = run.threads === undefined ? {} : { threads: run.threads };
    const tokenizer = await ImageTokenizer.open(folder.tokenizer, weights, preparationOf(folder.preprocessor), options);
    opened.push(() => tokenizer.dispose());
    const rows = new ConversationRows(text, config);
    const examples = new ExampleRows(rows, tokenizer, data.variants);
    const rowAt = (position: number, room?: RowSize) =>
      own.draw(position, async (example, random) => {
        const row = await examples.row(example, random);
        if (row && room) refuseLarger(rows.sizeOf(row), room);
        return row;
      });
    const prepare = async (): Promise<Omit<Prepared, "key">> => {
      const own = await writeReplay();
      const fresh: RowSize[] = [];
      for (let i = 0; i < MEASURED; i++) fresh.push(rows.sizeOf(await rowAt(i)));
      const sizesOf = (list: readonly ReplayRow[]) => largest(list.map((row) => sizeWithLikely(row, rows)));
      return { sizes: [largest(fresh), sizesOf(own.answers), sizesOf(own.drawings)], ...own };
    };
    const writeReplay = async (): Promise<ReplayRows> => {
      if (data.replay === 0 || data.replayImages === 0) return { answers: [], drawings: [] };
      const language = await LanguageModel.open(config, weights, { threads: 1, ...options });
      try {
        const { imagine } = folder.generation;
        const given = await openReplayImages(data.replayPath, folder, examples, { seed: run.seed, log, signal });
        if (given?.close) opened.push(given.close);
        return await new Replay(language, text, rows).write({
          images: data.replayImages ?? given?.count ?? DEFAULT_IMAGES,
          questions: [...describeQuestions, ...otherQuestions],
          seed: run.seed,
          room: config.qwen.max_seq_len,
          grid: imagine.grid,
          sampling: { temperature: imagine.temperature, topK: imagine.top_k, topP: imagine.top_p },
          given: given?.image,
          signal,
          onProgress: (done, total) => {
            if (done % Math.ceil(total / 8) === 0) log(`replay: the model describes image ${done} of ${total}`);
          },
        });
      } finally {
        await language.dispose();
      }
    };
    const key = JSON.stringify([run.seed, data, model]);
    const { sizes: most, answers, drawings } = await prepareOnce(join(run.folder, "prepared.json"), key, prepare);
    const replayed = answers.length === 0 ? 0 : Math.min(data.replay, data.batch - 1);
    const drawn = drawings.length === 0 ? 0 : Math.floor(replayed / DRAWN);
    const counts = [data.batch - replayed, replayed - drawn, drawn] as const;
    const sizes: TrainingSizes = {
      rows: data.batch,
      blocks: Math.max(...most.map(({ blocks }) => Math.ceil(blocks / STEP) * STEP)),
      scoredBlocks: counts.reduce((sum, count, i) => sum + count * most[i]!.scored, 0),
      labels: counts.reduce((sum, count, i) => sum + count * most[i]!.labels, 0),
    };
    return {
      losses: { rows: (graph) => traceAdapted(graph, config, sizes, adapted, model) },
      frozen: trainingWeights(weights),
      async batch(step) {
        const random = counterRandom(run.seed, "replay order").fork(step);
        const pick = (list: readonly ConversationRow[], count: number, at: number) =>
          Array.from({ length: count }, (_, i) => list[random.integer(at + i, list.length)]!);
        const room = { ...most[0], blocks: sizes.blocks };
        const news: ConversationRow[] = [];
        for (let i = 0; i < counts[0]; i++) news.push(await rowAt(step * counts[0] + i, room));
        const own = [...pick(answers, counts[1], 0), ...pick(drawings, counts[2], counts[1])];
        return packBatch(rows, [...news, ...own], counts[0], sizes);
      },
      async finish(tensors) {
        await writeAdapter(model.out, tensors, { ...model, alpha: model.alpha * model.strength });
        log(`${model.out}: adapter written`);
      },
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Common names of linear maps in other model families, by our names. */
const aliases: Readonly<Record<string, string>> = {
  o_proj: "output_proj",
  gate_proj: "w1",
  up_proj: "w3",
  down_proj: "w2",
};

/** The linear maps of a language model whose paths end with one of the names; "all" for every one. */
function findTargets(config: LanguageModelConfig, targets: readonly string[]): Set<string> {
  const graph = new Graph();
  const all = new Set<string>();
  graph.adaptLinear = ({ path }, _, y) => {
    all.add(path);
    return y;
  };
  traceLanguageModelLoss(graph, config, { blocks: 2, scoredBlocks: 1, labels: 1 });
  const found = targets.map((target) => {
    const name = Object.hasOwn(aliases, target) ? aliases[target]! : target;
    const paths = [...all].filter((path) => target === "all" || path === name || path.endsWith(`.${name}`));
    if (paths.length > 0) return paths;
    const names = [...new Set([...all].map((path) => path.split(".").at(-1)))].join(", ");
    throw new InputError(`targets: the model has no linear map ${quote(target)}; it has ${names}`, {
      code: "invalid_option",
    });
  });
  return new Set(found.flat());
}

function traceAdapted(
  graph: Graph,
  config: LanguageModelConfig,
  sizes: TrainingSizes,
  adapted: ReadonlySet<string>,
  { rank, alpha }: { readonly rank: number; readonly alpha: number },
): TracedLoss {
  graph.adaptLinear = lowRankAdapters((path) => (adapted.has(path) ? { rank, scale: alpha / rank } : undefined));
  const { loss, rowLosses } = traceLanguageModelLoss(graph, config, sizes);
  const R = sizes.labels;
  // Weights that are 1/count on the labels of one kind and 0 elsewhere.
  const shares = graph.input("shares", [R, 2]);
  const means = rowLosses.stopGradient().reshape([R, 1]).mul(shares).sum([0]);
  const [dataLoss, replayLoss] = [0, 1].map((i) => means.slice(0, i, i + 1).sum([0]));
  return { loss, reports: { dataLoss: dataLoss!, replayLoss: replayLoss! } };
}

/** Every row has equal weight, however much of it is scored. The first `fresh` rows are data. */
function packBatch(rows: ConversationRows, batch: readonly ReplayRow[], fresh: number, sizes: TrainingSizes): Batch {
  const { feeds, scored } = rows.feeds(batch, sizes);
  const R = sizes.labels;
  const counts = batch.map((row) => rows.sizeOf(row).labels);
  const first = counts.slice(0, fresh).reduce((a, b) => a + b, 0);
  const [places, labels] = [new Int32Array(R), new Int32Array(R)];
  const [weights, shares] = [new Float32Array(R), new Float32Array(2 * R)];
  let [r, n] = [0, 0];
  batch.forEach(({ likely }, b) => {
    const isReplay = b < fresh ? 0 : 1;
    for (let k = 0; k < counts[b]!; k++, r++) {
      // A block of text has two labels: its token, and the mark that ends the block.
      const choices = (k % 2 === 0 && likely?.[k / 2]) || [[scored.labels[r]!, 1] as const];
      for (const [label, share] of choices) {
        [places[n], labels[n]] = [scored.rows[r]!, label];
        // Instead of 1 / count of the whole batch.
        weights[n] = (share * scored.weights[r]! * scored.count) / (batch.length * counts[b]!);
        shares[2 * n + isReplay] = share / (isReplay ? scored.count - first : first);
        n++;
      }
    }
  });
  // NaN if the batch has none of a kind: the log skips it.
  if (first === 0) shares[0] = Number.NaN;
  if (first === scored.count) shares[1] = Number.NaN;
  return {
    loss: "rows",
    tokens: sizes.blocks * batch.length,
    feeds: {
      ...feeds,
      rows: i32(places, [R]),
      labels: i32(labels, [R]),
      weights: f32(weights, [R]),
      shares: f32(shares, [R, 2]),
    },
  };
}

/** The model's weights under training's names: of two output matrices, the one used by generation. */
function trainingWeights(weights: WeightSource): WeightSource {
  return {
    find: (name) =>
      (name === "lm_head.weight" ? weights.find("model.model.output.weight") : undefined) ?? weights.find(name),
  };
}

/** The graph's sizes follow from the first rows; longer ones are rejected. */
function refuseLarger(size: RowSize, room: RowSize): void {
  for (const name of ["blocks", "scored", "labels"] as const)
    if (size[name] > room[name])
      throw new InputError(
        `takes ${size[name]} ${name}, more than the ${room[name]} of the longest example checked first`,
      );
}

/** A token takes a label for each of its likeliest alternatives. */
function sizeWithLikely(row: ReplayRow, rows: ConversationRows): RowSize {
  const size = rows.sizeOf(row);
  const more = row.likely?.reduce((sum, { length }) => sum + length - 1, 0) ?? 0;
  return { ...size, labels: size.labels + more };
}

function largest(sizes: readonly RowSize[]): RowSize {
  const most = (of: (size: RowSize) => number) => Math.max(0, ...sizes.map(of));
  return {
    blocks: most(({ blocks }) => blocks),
    scored: most(({ scored }) => scored),
    labels: most(({ labels }) => labels),
  };
}

async function prepareOnce(
  path: string,
  key: string,
  prepare: () => Promise<Omit<Prepared, "key">>,
): Promise<Prepared> {
  const known = preparedSchema.safeParse(await readJsonIfPresent(...fileAt(path), MAX_PREPARED_BYTES));
  if (known.success && known.data.key === key) return known.data;
  const prepared = { key, ...(await prepare()) };
  const bytes = new TextEncoder().encode(`${JSON.stringify(prepared)}\n`);
  await replaceFile(path, (file) => writeAll(file, bytes));
  return prepared;
}
