// The language model's batches: questions about images, requests for images, and edits, packed for the loss.

import * as z from "zod";
import { InputError } from "../../errors.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { blockVocabulary, type KeyeArConfig, languageModelConfig } from "../../llm/config.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { f32, joinIntegers } from "../../runtime/host-tensor.ts";
import { expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import type { BlockVocabulary } from "../../sequence/layout.ts";
import type { Graph } from "../../tensor/graph.ts";
import { kindsOf, mixSchema, pickKind, type SampleKind } from "../data/mix.ts";
import { sourceSchema } from "../data/own-data.ts";
import { type OwnRowOptions, ownRow } from "../data/own-rows.ts";
import { inSmallLetters } from "../data/phrasing.ts";
import { type EncodedRow, type RowWriter, turnsAbout } from "../data/rows.ts";
import type { Samples } from "../data/samples.ts";
import { sampleEdit } from "../data/scene-edits.ts";
import { traceLanguageModelLoss, trainingFeeds } from "../loss/language-model-loss.ts";
import { fillRows, segmentEnds } from "../segments.ts";
import { pathSchema } from "../settings.ts";
import type { Batch } from "../stage.ts";
import type { TracedLoss } from "../train-graph.ts";

export const dataSchema = z.strictObject({
  cache: pathSchema.optional(),
  source: sourceSchema.optional(),
  /** Folder of tokenizer.json. */
  tokenizer: pathSchema,
  /** Rows of a batch, and how many of them are image requests and edits. The others are questions. */
  batch: z.int().min(1).max(4096),
  imagine: z.int().min(0).max(4096),
  edits: z.int().min(0).max(4096).default(0),
  /** Blocks of a row. */
  length: z.int().min(16).max(16_384),
  /** So many rows of the graph hold the samples of a batch, several in one. By default each sample has a row of its own. */
  packedRows: z.int().min(1).max(4096).optional(),
  /** Maximum scored blocks and labels of a batch. By default measured on the first batches: see measureRoom. */
  scoredBlocks: z.int().min(1).max(1_000_000).optional(),
  labels: z.int().min(1).max(10_000_000).optional(),
  /** Shares of the kinds of images in questions and in requests. */
  questions: mixSchema,
  requests: mixSchema,
  /** Share of empty requests, which guidance needs. */
  promptless: z.number().min(0).max(1).default(0),
  /**
   * Share of a written image's positions with a wrong code as input, while the labels stay right: a model that
   * writes reads its own mistakes.
   */
  wrongCodes: z.number().min(0).max(1).default(0),
});

export type WrittenData = z.infer<typeof dataSchema>;
export type Data = WrittenData & { readonly scoredBlocks: number; readonly labels: number };

/** The kind of image that a row writes. */
type WrittenKind = SampleKind | "edit";

export interface Row extends EncodedRow {
  /** In the order of the row's placeholders. */
  readonly images: readonly RgbImage[];
  /** Set if the row writes its last image. */
  readonly written?: WrittenKind;
}

/** The rows of a step: requests, then edits, then questions; rows of a run's own data may be of any kind. */
export async function sampleRows(
  samples: Samples,
  writer: RowWriter,
  data: WrittenData,
  { seed, step, slots }: { readonly seed: number; readonly step: number; readonly slots: number },
): Promise<Row[]> {
  const { corpus } = samples;
  const random = counterRandom(seed, "batch").fork(step);
  const own = new OwnRows(samples, writer, data, slots);
  const rows = Array.from({ length: data.batch }, (_, b): Row | Promise<Row> => {
    const index = step * data.batch + b;
    if (b >= data.imagine && b < data.imagine + data.edits) {
      const { before, instruction, after } = sampleEdit("train", seed, index, corpus.side);
      const row = fitting((words) => writer.editing(words), instruction, data);
      return { ...row, images: [before, after], written: "edit" };
    }
    const isRequest = b < data.imagine;
    const kind = pickKind(isRequest ? data.requests : data.questions, random.uniform(b));
    if (kind === "own") return own.row(index);
    const sample = corpus.sample(kind, "train", seed, index, isRequest ? "request" : "question");
    const images = [sample.image];
    if (!isRequest) return { ...writer.understanding(turnsAbout(sample, (step + b) % 2 === 0), data.length), images };
    const isSilent = random.fork("promptless").uniform(b) < data.promptless;
    const row = fitting((words) => writer.imagining(words), isSilent ? "" : sample.prompt, data);
    return { ...row, images, written: kind };
  });
  return own.withinRoom(await Promise.all(rows));
}

/** Rows of a run's own data, and the scored part of a batch: too many labels do not end a run. */
class OwnRows {
  readonly #samples: Samples;
  readonly #options: OwnRowOptions;
  readonly #data: WrittenData;
  readonly #slots: number;

  constructor(samples: Samples, writer: RowWriter, data: WrittenData, slots: number) {
    const { batch, imagine, edits, length, promptless } = data;
    this.#samples = samples;
    this.#data = data;
    this.#slots = slots;
    const requests = batch > edits ? imagine / (batch - edits) : 0;
    this.#options = { writer, side: samples.corpus.side, length, requests, promptless };
  }

  row(index: number): Promise<Row> {
    return this.#samples.own!.draw(index, async (example, random) => {
      const { writesImage, ...row } = await ownRow(example, random, this.#options);
      const { blocks, labels } = this.#room(row);
      const { scoredBlocks = blocks, labels: most = labels } = this.#data;
      if (blocks > scoredBlocks || labels > most)
        throw new InputError(
          `a row of ${blocks} scored blocks with ${labels} labels does not fit; raise scoredBlocks or labels`,
        );
      return { ...row, ...(writesImage && { written: "own" as const }) };
    });
  }

  /** Rows beyond the batch's capacity are read but not scored. */
  withinRoom(rows: readonly Row[]): Row[] {
    let [blocks, labels] = [0, 0];
    return rows.map((row) => {
      const room = this.#room(row);
      const { scoredBlocks = Infinity, labels: most = Infinity } = this.#data;
      if (blocks + room.blocks > scoredBlocks || labels + room.labels > most)
        return { ...row, isAnswer: row.isAnswer.map(() => false) };
      blocks += room.blocks;
      labels += room.labels;
      return row;
    });
  }

  #room(row: EncodedRow) {
    return roomOf(row, this.#options.writer.imageId, this.#slots);
  }
}

/** A row's needs: each scored block has its id and an end, or its N codes and an end. */
function roomOf({ ids, isAnswer }: EncodedRow, imageId: number, slots: number): { blocks: number; labels: number } {
  let [blocks, labels] = [0, 0];
  ids.forEach((id, t) => {
    if (t === 0 || !isAnswer[t]) return;
    blocks++;
    labels += id === imageId ? slots : 2;
  });
  return { blocks, labels };
}

/** Batches measured if a config does not give the label capacity, and the margin added to the largest. */
const MEASURED_BATCHES = 24;
const MARGIN = 1.1;

/** The settings with capacities: missing ones are measured on the first batches. */
export async function measureRoom(
  data: WrittenData,
  draw: (step: number) => Promise<readonly Row[]>,
  imageId: number,
  slots: number,
): Promise<Data> {
  if (data.scoredBlocks !== undefined && data.labels !== undefined) return data as Data; // both are present
  let [blocks, labels] = [1, 1];
  for (let step = 0; step < MEASURED_BATCHES; step++) {
    const rooms = (await draw(step)).map((row) => roomOf(row, imageId, slots));
    blocks = Math.max(
      blocks,
      rooms.reduce((sum, room) => sum + room.blocks, 0),
    );
    labels = Math.max(
      labels,
      rooms.reduce((sum, room) => sum + room.labels, 0),
    );
  }
  const most = data.batch * data.length;
  return {
    ...data,
    scoredBlocks: data.scoredBlocks ?? Math.min(most, Math.ceil(blocks * MARGIN)),
    labels: data.labels ?? Math.min(most * slots, Math.ceil(labels * MARGIN)),
  };
}

/** The row of a request; one that is too long in capitals is written in lower case. */
function fitting(write: (words: string) => EncodedRow, prompt: string, { length }: WrittenData): EncodedRow {
  const rows = [prompt, inSmallLetters(prompt)].map(write);
  const row = rows.find(({ ids }) => ids.length <= length);
  if (row) return row;
  throw new InputError(`a row of ${rows[1]!.ids.length} blocks does not fit into ${length}: "${prompt}"`);
}

/** Logged beside the loss: means over the labels of text, of images, and of images of each kind. */
function reportNames({ requests, edits }: Data): string[] {
  const kinds: WrittenKind[] = [...kindsOf(requests), ...(edits > 0 ? (["edit"] as const) : [])];
  return ["textLoss", "imageLoss", ...kinds.map((kind) => `imageLoss.${kind}`)];
}

export function traceBlocks(graph: Graph, config: KeyeArConfig, data: Data): TracedLoss {
  const { batch, packedRows: B = batch, length: T, scoredBlocks, labels: R } = data;
  const sizes = { rows: B, blocks: T, scoredBlocks, labels: R };
  const { loss, rowLosses } = traceLanguageModelLoss(graph, languageModelConfig(config), sizes);
  const names = reportNames(data);
  // Weights that are 1/count on the labels of one kind and 0 elsewhere.
  const shares = graph.input("shares", [R, names.length]);
  const means = rowLosses.stopGradient().reshape([R, 1]).mul(shares).sum([0]);
  const reports = Object.fromEntries(names.map((name, i) => [name, means.slice(0, i, i + 1).sum([0])]));
  return { loss, reports };
}

/** Rows and the concatenated codes of all their images [images * positions, N], as the loss's inputs. */
export function packBatch(
  rows: readonly Row[],
  codes: Int32Array,
  random: CounterRandom,
  config: KeyeArConfig,
  data: Data,
  padId: number,
): Batch {
  const vocabulary = blockVocabulary(config.qwen_config);
  const N = vocabulary.codesPerPatch;
  const { batch, packedRows: B = batch, length: T, scoredBlocks, labels: R } = data;
  const perImage =
    codes.length /
    Math.max(
      1,
      rows.reduce((sum, { images }) => sum + images.length, 0),
    );
  let used = 0;
  const samples = rows.map((row, b) => {
    const own = codes.slice(used, used + row.images.length * perImage);
    used += own.length;
    const read = own.slice();
    if (row.written !== undefined) {
      const last = own.subarray(own.length - perImage);
      read.set(spoil(last, N, data.wrongCodes, vocabulary, random.fork(b)), own.length - perImage);
    }
    return { ...row, own, read };
  });
  const lengths = rows.map(({ ids }) => ids.length);
  const filled = data.packedRows === undefined ? rows.map((_, i) => [i]) : fillRows(lengths, B, T);
  const kinds = Array<Row["written"]>(B * T); // of each position
  const packed = filled.map((places, b) => {
    const held = places.map((i) => samples[i]!);
    const ids = new Int32Array(T).fill(padId);
    const lossMask = new Uint8Array(T);
    let start = 0;
    for (const sample of held) {
      const end = start + sample.ids.length;
      ids.set(sample.ids, start);
      lossMask.set(Array.from(sample.isAnswer, Number), start);
      lossMask[start] = 0; // nothing comes before it
      kinds.fill(sample.written, b * T + start, b * T + end);
      start = end;
    }
    const expand = (codes: readonly Int32Array[]) =>
      expandRow(ids, idsFromCodes(joinIntegers(codes), vocabulary), vocabulary);
    return {
      blocks: expand(held.map(({ own }) => own)),
      read: expand(held.map(({ read }) => read)),
      lossMask,
      cuSegments: segmentEnds(
        held.map(({ ids }) => ids.length),
        T,
      ),
    };
  });
  const sizes = { rows: B, blocks: T, scoredBlocks, labels: R };
  const { feeds, scored } = trainingFeeds(packed, languageModelConfig(config), sizes);
  const names = reportNames(data);
  const shares = new Float32Array(R * names.length);
  names.forEach((name, column) => {
    const places = Array.from({ length: scored.count }, (_, r) => r).filter((r) => {
      const label = scored.labels[r]!;
      if (label === vocabulary.qEos) return false;
      if (label < vocabulary.vocabSize) return name === "textLoss";
      const position = scored.positions[Math.floor(scored.rows[r]! / (N + 1))]!;
      return name === "imageLoss" || name === `imageLoss.${kinds[position]}`;
    });
    // NaN if the batch has none of a kind: the log skips it.
    for (const r of places.length === 0 ? [0] : places)
      shares[r * names.length + column] = 1 / (places.length || Number.NaN);
  });
  const tokens = filled.flat().reduce((sum, i) => sum + lengths[i]!, 0);
  return { loss: "blocks", tokens, feeds: { ...feeds, shares: f32(shares, [R, names.length]) } };
}

/** Codes [M, N] of an image, with one code replaced by another of its codebook at a share of the positions. */
export function spoil(
  codes: Int32Array,
  N: number,
  share: number,
  { codebookSize }: Pick<BlockVocabulary, "codebookSize">,
  random: CounterRandom,
): Int32Array {
  if (share === 0) return codes;
  const size = codebookSize / N;
  const spoilt = Int32Array.from(codes);
  for (let position = 0; position < codes.length / N; position++) {
    const draw = random.fork(position).sequence();
    if (draw.uniform() >= share) continue;
    const at = position * N + draw.integer(N);
    spoilt[at] = (codes[at]! + 1 + draw.integer(size - 1)) % size;
  }
  return spoilt;
}
