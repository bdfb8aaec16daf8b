// Outputs of the frozen models (image tokenizer, language model, autoencoder) for a pool of images: computed once, before the
// diffusion transformer trains on them.

import * as z from "zod";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { encode } from "../../detokenizer/autoencoder.ts";
import { parseAutoencoderConfig, pixelsPerLatent } from "../../detokenizer/config.ts";
import { excerpt, InputError } from "../../errors.ts";
import { folderFiles } from "../../files/folder.node.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { blockVocabulary, type KeyeArConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32, i32 } from "../../runtime/host-tensor.ts";
import { openSession, type Session } from "../../runtime/session.ts";
import { blockInputs, expandRow } from "../../sequence/blocks.ts";
import { idsFromCodes } from "../../sequence/ids.ts";
import { Graph } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { BatchTokenizer } from "../batch-tokenizer.ts";
import type { Sample } from "../data/corpus.ts";
import { kindsOf, mixSchema, pickKind } from "../data/mix.ts";
import { type OwnData, sourceSchema } from "../data/own-data.ts";
import { RowWriter } from "../data/rows.ts";
import { Samples } from "../data/samples.ts";
import { sampleEdit } from "../data/scene-edits.ts";
import type { Split } from "../data/split.ts";
import { planesOf } from "../image-planes.ts";
import { layersSchema, openLayers } from "../layers.ts";
import { pathSchema } from "../settings.ts";
import { CodeWriter, readRows } from "./written-codes.ts";

export const dataSchema = z.strictObject({
  cache: pathSchema.optional(),
  source: sourceSchema.optional(),
  /** Folder of tokenizer.json. */
  tokenizer: pathSchema,
  /** Maximum tokens around an image in a request, including its end mark and the source of an edit. */
  prompt: z.int().min(16).max(4096).default(84),
  /** Images whose codes, hidden states and latents are computed before training. */
  pool: z.int().min(1).max(1_000_000),
  batch: z.int().min(1).max(4096),
  /** Shares of the kinds of images. */
  mix: mixSchema,
  /** Steps after which the pool is renewed with other images; never by default. */
  renewEvery: z.int().min(1).max(1_000_000_000).optional(),
  /** Share of batches conditioned on hidden states; the others on code embeddings. */
  hidden: z.number().min(0).max(1),
  /** Share of the pool whose hidden states come from the language model's codes instead of the tokenizer's. */
  written: z.number().min(0).max(1).default(0),
  /** Share of the pool whose image is requested as an edit of another. */
  edits: z.number().min(0).max(1).default(0),
});

export const modelSchema = z.strictObject({
  /** SanaConfig. */
  config: z.record(z.string(), z.unknown()),
  autoencoder: z.strictObject({ config: z.record(z.string(), z.unknown()), weights: pathSchema }),
  languageModel: z.strictObject({ config: z.record(z.string(), z.unknown()), weights: layersSchema }),
  visualTokenizer: layersSchema,
  flowShift: z.number().positive().max(1000).default(3),
});

export type DiffusionData = z.infer<typeof dataSchema>;
export type DiffusionModel = z.infer<typeof modelSchema>;

/** Codes' embeddings, hidden states and latents of one image: [positions, C], [positions + 2, D] and [Z, h, w], flat. */
export interface PoolItem {
  readonly image: RgbImage;
  readonly codes: Float32Array;
  readonly hidden: Float32Array;
  readonly latents: Float32Array;
}

interface WritingRow {
  readonly ids: readonly number[];
  /** The image that the row writes last. */
  readonly image: RgbImage;
  /** The source image of an edit. */
  readonly source?: RgbImage;
}

/** Images that the frozen models read at a time. */
export const FROZEN_BATCH = 16;

interface FrozenParts {
  readonly samples: Samples;
  readonly tokenizer: BatchTokenizer;
  readonly writer: RowWriter;
  readonly latents: Session;
  readonly trunk: Session;
  /** Present if some hidden states come from the language model's codes. */
  readonly codeWriter?: CodeWriter;
  readonly sources: readonly Checkpoint[];
  readonly data: DiffusionData;
  /** Blocks of a row. */
  readonly length: number;
}

/** The frozen models together. */
export class FrozenModels {
  readonly grid: readonly [number, number];
  readonly ar: KeyeArConfig;
  readonly #parts: FrozenParts;

  private constructor(grid: readonly [number, number], ar: KeyeArConfig, parts: FrozenParts) {
    this.grid = grid;
    this.ar = ar;
    this.#parts = parts;
  }

  static async open(
    model: DiffusionModel,
    data: DiffusionData,
    { threads, own }: { readonly threads: number | undefined; readonly own: OwnData | undefined },
  ): Promise<FrozenModels> {
    const options = threads === undefined ? {} : { threads };
    const ar = parseKeyeArConfig(model.languageModel.config, "model.languageModel.config");
    const config = parseAutoencoderConfig(model.autoencoder.config, "model.autoencoder.config");
    const side = ar.tokenizer_config.vision_config.image_size;
    const sources = await Promise.all(
      [model.visualTokenizer, model.languageModel.weights, model.autoencoder.weights].map((path) => openLayers(path)),
    );
    const tokenizer = await BatchTokenizer.open(ar.tokenizer_config, sources[0]!, FROZEN_BATCH, threads);
    const writer = new RowWriter(await TextTokenizer.load(folderFiles(data.tokenizer)), tokenizer.positions);
    const length = tokenizer.positions + data.prompt;

    const pixels = new Graph();
    const latents = encode(
      pixels.params,
      pixels.input("pixels", [FROZEN_BATCH, config.inChannels, side, side]),
      config,
    );
    pixels.output("latents", latents.mul(config.scalingFactor));
    const blocks = new Graph();
    blocks.output("hidden", traceHidden(blocks, ar, length, tokenizer.positions + 2));
    const sizes = { rows: FROZEN_BATCH, blocks: length, positions: tokenizer.positions };
    const grid = [side / pixelsPerLatent(config), side / pixelsPerLatent(config)] as const;
    return new FrozenModels(grid, ar, {
      samples: await Samples.open({ cache: data.cache, side, kinds: kindsOf(data.mix), own }),
      tokenizer,
      writer,
      latents: await openSession(pixels, sources[2]!, options),
      trunk: await openSession(blocks, sources[1]!, options),
      ...(data.written > 0 && { codeWriter: await CodeWriter.open(ar, sources[1]!, sizes, options) }),
      sources,
      data,
      length,
    });
  }

  /** Items start .. start + FROZEN_BATCH - 1 of the pool. */
  async describe(seed: number, start: number, split: Split = "train"): Promise<PoolItem[]> {
    const { tokenizer, latents: autoencoder, trunk, codeWriter, data } = this.#parts;
    const rows = await this.#rows(seed, start, split);
    const images = rows.map(({ image }) => image);
    const { codes, embeddings } = await tokenizer.embed(images);
    const { latents } = await autoencoder.run({ pixels: planesOf(images) });
    const sources = await tokenizer.codes(rows.flatMap(({ source }) => (source ? [source] : [])));
    const packed = this.#pack(rows, sources, codes);
    const random = counterRandom(seed, "written").fork(start);
    const isWritten = rows.map((_, b) => split === "train" && random.uniform(b) < data.written);
    let read = packed;
    if (codeWriter && isWritten.includes(true)) {
      const written = await codeWriter.write(packed.feeds, packed.starts, random.fork("codes"));
      const size = codes.length / rows.length;
      read = this.#pack(
        rows,
        sources,
        codes.map((code, at) => (isWritten[Math.floor(at / size)] ? written[at]! : code)),
      );
    }
    const { hidden } = await trunk.run({ ...read.feeds, places: read.places });
    return images.map((image, b) => ({
      image,
      codes: part(embeddings, b),
      hidden: part(hidden!.data as Float32Array, b),
      latents: part(latents!.data as Float32Array, b),
    }));
  }

  /** The rows that write the pool's images: most from a request, some as an edit of another image. */
  #rows(seed: number, start: number, split: Split): Promise<WritingRow[]> {
    const { samples, writer, data, length } = this.#parts;
    const random = counterRandom(seed, "pool");
    const fitting = ({ ids }: { readonly ids: readonly number[] }, words: string) => {
      if (ids.length <= length) return ids;
      const said = `the request "${excerpt(words)}" takes ${ids.length} tokens, at most ${length} fit`;
      throw new InputError(`${said}; raise data.prompt`);
    };
    const request = ({ prompt }: Sample) => fitting(writer.imagining(prompt), prompt);
    const rows = Array.from({ length: FROZEN_BATCH }, async (_, i): Promise<WritingRow> => {
      const index = start + i;
      if (random.fork("edit").uniform(index) < data.edits) {
        const { before, instruction, after } = sampleEdit(split, seed, index, samples.corpus.side);
        return { ids: fitting(writer.editing(instruction), instruction), image: after, source: before };
      }
      const kind = pickKind(data.mix, random.uniform(index));
      const sample = await samples.draw(kind, split, seed, index, "request", request);
      return { ids: request(sample), image: sample.image };
    });
    return Promise.all(rows);
  }

  /** Rows as the language model reads them, with the codes [.., N] of edit sources and written images. */
  #pack(rows: readonly WritingRow[], sources: Int32Array, codes: Int32Array) {
    const { tokenizer, writer, length } = this.#parts;
    const vocabulary = blockVocabulary(this.ar.qwen_config);
    const N = vocabulary.codesPerPatch;
    const M = tokenizer.positions;
    const index = new Int32Array(FROZEN_BATCH * length * N);
    const weight = new Float32Array(index.length);
    const places = new Int32Array(FROZEN_BATCH * (M + 2));
    let used = 0;
    const starts = rows.map(({ ids: written, source }, b) => {
      const ids = Int32Array.from({ length }, (_, t) => written[t] ?? writer.padId);
      const own = codes.subarray(b * M * N, (b + 1) * M * N);
      const shown = source ? Int32Array.of(...sources.subarray(used, used + M * N), ...own) : own;
      if (source) used += M * N;
      const inputs = blockInputs(expandRow(ids, idsFromCodes(shown, vocabulary), vocabulary), vocabulary);
      index.set(inputs.index, b * length * N);
      weight.set(inputs.weight, b * length * N);
      const start = ids.lastIndexOf(vocabulary.visionStart);
      for (let k = 0; k < M + 2; k++) places[b * (M + 2) + k] = b * length + start + k;
      return start;
    });
    const shape = [FROZEN_BATCH, length, N];
    return {
      feeds: { index: i32(index, shape), weight: f32(weight, shape) },
      places: i32(places, [places.length]),
      starts,
    };
  }

  async release(): Promise<void> {
    const { tokenizer, latents, trunk, codeWriter, sources } = this.#parts;
    await Promise.all([
      tokenizer.release(),
      codeWriter?.release(),
      latents.release(),
      trunk.release(),
      ...sources.map((source) => source.close()),
    ]);
  }
}

function traceHidden(graph: Graph, ar: KeyeArConfig, T: number, perImage: number): Tensor {
  const { decoded } = readRows(graph, ar, FROZEN_BATCH, T);
  const places = graph.input("places", [FROZEN_BATCH * perImage], "i32");
  return decoded.hidden
    .at(-1)!
    .reshape([FROZEN_BATCH * T, ar.qwen_config.embed_dim])
    .gather(places);
}

function part(all: Float32Array, b: number): Float32Array {
  const size = all.length / FROZEN_BATCH;
  return all.slice(b * size, (b + 1) * size);
}

/** The latents' standard deviation should be near 1; the scaling factor sets it. */
export function describeSpread(pool: readonly PoolItem[]): string {
  let [sum, squares, count] = [0, 0, 0];
  for (const { latents } of pool) {
    for (const value of latents) {
      sum += value;
      squares += value * value;
      count++;
    }
  }
  const mean = sum / count;
  return `latents: mean ${mean.toFixed(3)}, standard deviation ${Math.sqrt(squares / count - mean * mean).toFixed(3)}`;
}
