// The image tokenizer ready to run: a picture of any aspect -> codes, and codes -> the fused embeddings that the
// diffusion transformer reads when no language model is used.

import type { PatchOptions } from "../image/patches.ts";
import type { Picture } from "../image/picture.ts";
import { preparePicture } from "../image/processor.ts";
import type { PixelLimits } from "../image/smart-resize.ts";
import { f32, i32 } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { mulDims } from "../tensor/dims.ts";
import { Graph } from "../tensor/graph.ts";
import type { TokenizerConfig } from "./config.ts";
import { ImageCodes } from "./image-codes.ts";
import { inputLayout, layoutFeeds } from "./layout.ts";
import { embedCodes, imageTokenizer } from "./tokenizer.ts";

export class PictureTokenizer {
  readonly #config: TokenizerConfig;
  readonly #patches: PatchOptions;
  readonly #limits: PixelLimits;
  readonly #encode: Session;
  readonly #openEmbedding: () => Promise<Session>;
  #embed: Promise<Session> | undefined;

  private constructor(
    config: TokenizerConfig,
    patches: PatchOptions,
    limits: PixelLimits,
    encode: Session,
    openEmbedding: () => Promise<Session>,
  ) {
    this.#config = config;
    this.#patches = patches;
    this.#limits = limits;
    this.#encode = encode;
    this.#openEmbedding = openEmbedding;
  }

  /** Opens what encodes pictures; what embeds codes is opened when it is first used. */
  static async open(
    config: TokenizerConfig,
    weights: WeightSource,
    patches: PatchOptions,
    limits: PixelLimits,
    options: SessionOptions = {},
  ): Promise<PictureTokenizer> {
    const openEmbedding = () => openSession(embeddingGraph(config), weights, options);
    return new PictureTokenizer(
      config,
      patches,
      limits,
      await openSession(encodingGraph(config), weights, options),
      openEmbedding,
    );
  }

  /**
   * Resizes as the reference's processor does, to at most `maxPositions` if given, and encodes. Throws an InputError for
   * extreme shapes.
   */
  async tokenize(picture: Picture, maxPositions?: number): Promise<ImageCodes> {
    const { pixelValues, grid } = preparePicture(picture, this.#patches, this.#limits, maxPositions);
    const [rows, columns] = grid;
    const width = pixelValues.length / (rows * columns);
    const feeds = {
      pixels: f32(pixelValues, [rows * columns, width]),
      ...layoutFeeds({ frames: 1, rows, columns }, this.#config.vision_config),
    };
    const { codes } = await this.#encode.run(feeds);
    return new ImageCodes({
      grid: [rows / 2, columns / 2],
      codes: Uint16Array.from(codes!.data as Int32Array),
      width: picture.width,
      height: picture.height,
    });
  }

  /** Fused embeddings [P, output_dim] of codes. */
  async embed(codes: ImageCodes): Promise<Float32Array> {
    const N = this.#config.n_q_tokens;
    this.#embed ??= this.#openEmbedding();
    const { embeddings } = await (await this.#embed).run({ codes: i32(codes.codes, [codes.codes.length / N, N]) });
    return embeddings!.data as Float32Array;
  }

  async dispose(): Promise<void> {
    const embed = await this.#embed?.catch(() => undefined);
    await Promise.all([this.#encode.release(), embed?.release()]);
  }
}

/** Patches of one picture, pixels [4*M, C*p*p] -> codes i32 [M, N]. */
export function encodingGraph(config: TokenizerConfig): Graph {
  const { num_channels: C, patch_size: p } = config.vision_config;
  const graph = new Graph();
  const pixels = graph.input("pixels", [mulDims("M", 4), C * p * p]);
  const layout = inputLayout(graph, config.vision_config);
  graph.output("codes", imageTokenizer(graph.params.at("visual_tokenizer"), pixels, layout, config).quantized.codes);
  return graph;
}

/** codes i32 [M, N] -> embeddings [M, output_dim] */
function embeddingGraph(config: TokenizerConfig): Graph {
  const graph = new Graph();
  const codes = graph.input("codes", ["M", config.n_q_tokens], "i32");
  graph.output("embeddings", embedCodes(graph.params.at("visual_tokenizer"), codes, config));
  return graph;
}
