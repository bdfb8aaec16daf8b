// The image tokenizer ready to run: an image of any aspect -> codes, and codes -> the fused embeddings that the
// diffusion transformer reads when no language model is used.

import { disposedError } from "../errors.ts";
import { type ImageFit, type Preparation, prepareImage } from "../image/processor.ts";
import type { RgbImage } from "../image/rgb.ts";
import { f32, i32 } from "../runtime/host-tensor.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import { mulDims } from "../tensor/dims.ts";
import { Graph } from "../tensor/graph.ts";
import type { Fusion, TokenizerConfig } from "./config.ts";
import { ImageCodes } from "./image-codes.ts";
import { inputLayout, layoutFeeds } from "./layout.ts";
import { embedCodes, imageTokenizer } from "./tokenizer.ts";

export class ImageTokenizer {
  readonly #config: TokenizerConfig;
  readonly #preparation: Preparation;
  readonly #encode: Session;
  readonly #openEmbedding: (fusion: Fusion) => Promise<Session>;
  readonly #embeddings = new Map<Fusion, Promise<Session>>();
  #isDisposed = false;

  private constructor(
    config: TokenizerConfig,
    preparation: Preparation,
    encode: Session,
    openEmbedding: (fusion: Fusion) => Promise<Session>,
  ) {
    this.#config = config;
    this.#preparation = preparation;
    this.#encode = encode;
    this.#openEmbedding = openEmbedding;
  }

  /** Opens what encodes images; what embeds codes is opened when it is first used. */
  static async open(
    config: TokenizerConfig,
    weights: WeightSource,
    preparation: Preparation,
    options: SessionOptions = {},
  ): Promise<ImageTokenizer> {
    const encode = await openSession(encodingGraph(config), weights, { ...options, network: "vision encoder" });
    const openEmbedding = (fusion: Fusion) =>
      openSession(embeddingGraph(config, fusion), weights, { ...options, network: "code embeddings" });
    return new ImageTokenizer(config, preparation, encode, openEmbedding);
  }

  /**
   * Resizes as the reference's processor does, so that it fits `fit` too, and encodes. Throws an InputError for extreme shapes.
   */
  async tokenize(image: RgbImage, fit?: ImageFit): Promise<ImageCodes> {
    const { pixelValues, grid } = prepareImage(image, this.#preparation, fit);
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
      width: image.width,
      height: image.height,
    });
  }

  /** Fused embeddings [P, output_dim] of codes; by the config's fusion unless another is named. */
  async embed(codes: ImageCodes, fusion: Fusion = this.#config.fusion_type): Promise<Float32Array> {
    if (this.#isDisposed) throw disposedError();
    const N = this.#config.n_q_tokens;
    const session = this.#embeddings.get(fusion) ?? this.#openEmbedding(fusion);
    this.#embeddings.set(fusion, session);
    const { embeddings } = await (await session).run({ codes: i32(codes.codes, [codes.codes.length / N, N]) });
    return embeddings!.data as Float32Array;
  }

  /** The mean of the embeddings over an image's positions, [output_dim]. */
  async embedImage(codes: ImageCodes, fusion?: Fusion): Promise<Float32Array> {
    const embeddings = await this.embed(codes, fusion);
    const P = codes.grid[0] * codes.grid[1];
    const D = embeddings.length / P;
    const mean = new Float32Array(D);
    for (let i = 0; i < embeddings.length; i++) mean[i % D]! += embeddings[i]! / P;
    return mean;
  }

  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const opened = [...this.#embeddings.values()].map((session) => session.catch(() => undefined));
    await Promise.all([this.#encode.release(), ...opened.map(async (session) => (await session)?.release())]);
  }
}

/** Patches of one image, pixels [4*M, C*p*p] -> codes i32 [M, N]. */
export function encodingGraph(config: TokenizerConfig): Graph {
  const { num_channels: C, patch_size: p } = config.vision_config;
  const graph = new Graph();
  const pixels = graph.input("pixels", [mulDims("M", 4), C * p * p]);
  const layout = inputLayout(graph, config.vision_config);
  graph.output("codes", imageTokenizer(graph.params.at("visual_tokenizer"), pixels, layout, config).quantized.codes);
  return graph;
}

/** codes i32 [M, N] -> embeddings [M, output_dim] */
function embeddingGraph(config: TokenizerConfig, fusion: Fusion): Graph {
  const graph = new Graph();
  const codes = graph.input("codes", ["M", config.n_q_tokens], "i32");
  graph.output("embeddings", embedCodes(graph.params.at("visual_tokenizer"), codes, config, fusion));
  return graph;
}
