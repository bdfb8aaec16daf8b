// The frozen image tokenizer over batches of square images of one size, for the stages that train on codes.

import type { RgbImage } from "../image/rgb.ts";
import { openSession, type Session, type WeightSource } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import type { TokenizerConfig } from "../vision/config.ts";
import { embedCodes, imageTokenizer } from "../vision/tokenizer.ts";
import { constantLayout } from "./constant-layout.ts";
import { patchesOf } from "./data/patch-images.ts";

export class BatchTokenizer {
  /** Positions of an image. */
  readonly positions: number;
  readonly #session: Session;
  readonly #patchSize: number;
  readonly #size: number;

  private constructor(session: Session, positions: number, patchSize: number, size: number) {
    this.#session = session;
    this.positions = positions;
    this.#patchSize = patchSize;
    this.#size = size;
  }

  /** For batches of `images` images of the config's image_size. */
  static async open(
    config: TokenizerConfig,
    weights: WeightSource,
    images: number,
    threads?: number,
  ): Promise<BatchTokenizer> {
    const { image_size, patch_size, num_channels } = config.vision_config;
    const side = image_size / patch_size;
    const graph = new Graph();
    const pixels = graph.input("pixels", [images * side * side, num_channels * patch_size ** 2]);
    const grids = Array.from({ length: images }, () => ({ frames: 1, rows: side, columns: side }));
    const p = graph.params.at("visual_tokenizer");
    const { quantized } = imageTokenizer(p, pixels, constantLayout(graph, grids, config.vision_config), config);
    graph.output("codes", quantized.codes);
    graph.output("embeddings", embedCodes(p, quantized.codes, config));
    const session = await openSession(graph, weights, threads === undefined ? {} : { threads });
    return new BatchTokenizer(session, (side / 2) ** 2, patch_size, images);
  }

  /** Codes [n * positions, N] of any number of images, computed in batches of the session's size. */
  async codes(images: readonly RgbImage[]): Promise<Int32Array> {
    const parts: number[] = [];
    for (let start = 0; start < images.length; start += this.#size) {
      const batch = images.slice(start, start + this.#size);
      const full = Array.from({ length: this.#size }, (_, i) => batch[i] ?? batch[0]!);
      const { codes } = await this.#session.run({ pixels: patchesOf(full, this.#patchSize) }, ["codes"]);
      const { data, shape } = codes!;
      parts.push(...(data as Int32Array).subarray(0, batch.length * this.positions * shape[1]!));
    }
    return Int32Array.from(parts);
  }

  /** Codes, and their fused embeddings [images * positions, output_dim]. */
  async embed(images: readonly RgbImage[]): Promise<{ codes: Int32Array; embeddings: Float32Array }> {
    const { codes, embeddings } = await this.#session.run({ pixels: patchesOf(images, this.#patchSize) });
    return { codes: codes!.data as Int32Array, embeddings: embeddings!.data as Float32Array };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
