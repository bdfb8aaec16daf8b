// Compares a model's folder with what its configs declare, by tracing every part; no weight is read.

import { type Checkpoint, checkParameters } from "./checkpoint/checkpoint.ts";
import { decode, encode } from "./detokenizer/autoencoder.ts";
import { type AutoencoderConfig, type DitConfig, pixelsPerLatent } from "./detokenizer/config.ts";
import { withNullLength } from "./detokenizer/denoiser.ts";
import { diffusionTransformer } from "./detokenizer/diffusion-transformer.ts";
import { type KeyeArConfig, type LanguageModelConfig, languageModelConfig } from "./llm/config.ts";
import { languageModelPaths, traceLanguageModelLoss } from "./llm/model.ts";
import { outputMatrix } from "./llm/output.ts";
import type { ModelFolder } from "./model-folder.ts";
import { Graph, type Parameter } from "./tensor/graph.ts";
import { declareTokenizer } from "./vision/tokenizer.ts";

const unused = [/\.packing_position_embedding\.weight$/, /\.token_head\.final_norm\.(weight|bias)$/, /^pos_embed$/];

/** Whether the reference writes a tensor that nobody reads. */
export function isUnused(name: string): boolean {
  return unused.some((pattern) => pattern.test(name));
}

/** Generation multiplies by the first, training by the second; one is enough to run a model. */
export const outputMatrices = ["model.model.output.weight", "lm_head.weight"] as const;

/** Throws a CheckpointError that lists everything missing, unknown or of another shape in one of the model's files. */
export function checkModel({ ar, weights, detokenizer: { transformer, autoencoder } }: ModelFolder): void {
  const check = (declared: readonly Parameter[], source: Checkpoint) => {
    const hasOne = outputMatrices.some((name) => source.find(name));
    const isNeeded = ({ path }: Parameter) =>
      !hasOne || !(outputMatrices as readonly string[]).includes(path) || source.find(path) !== undefined;
    checkParameters(
      declared.filter(isNeeded).map(({ path, shape }) => ({ name: path, shape })),
      source,
      isUnused,
    );
  };
  const dit = withNullLength(transformer.config, transformer.weights);
  const parts = declareModel(ar, dit, autoencoder.config);
  check(parts.main, weights);
  check(parts.transformer, transformer.weights);
  check(parts.autoencoder, autoencoder.weights);
}

/** The parameters of a model's three files: the autoregressive checkpoint, the diffusion transformer, the autoencoder. */
export function declareModel(ar: KeyeArConfig, transformer: DitConfig, autoencoder: AutoencoderConfig) {
  const main = new Graph();
  declareTokenizer(main, main.params.at("visual_tokenizer"), ar.tokenizer_config);
  declareLanguageModel(main, languageModelConfig(ar));
  const graphs = { main, transformer: traceTransformer(transformer), autoencoder: traceAutoencoder(autoencoder) };
  const parametersOf = ({ parameters }: Graph): readonly Parameter[] => [...parameters.values()];
  return {
    main: parametersOf(graphs.main),
    transformer: parametersOf(graphs.transformer),
    autoencoder: parametersOf(graphs.autoencoder),
  };
}

function declareLanguageModel(graph: Graph, language: LanguageModelConfig): void {
  const { qwen } = language;
  traceLanguageModelLoss(graph, language, { blocks: 2, scoredBlocks: 1, labels: 1 });
  outputMatrix(languageModelPaths(graph.params).output, qwen.vocab_size + qwen.codebook_size, qwen.embed_dim);
}

/** The diffusion transformer at its smallest. */
export function traceTransformer(config: DitConfig): Graph {
  const graph = new Graph();
  const { inChannels, patchSize, captionChannels, useConnector, connectorChannels } = config;
  diffusionTransformer(
    graph.params,
    {
      x: graph.input("x", [1, inChannels, patchSize, patchSize]),
      timestep: graph.input("timestep", [1]),
      y: graph.input("y", [1, 1, useConnector ? connectorChannels! : captionChannels]),
      bias: graph.input("bias", [1, 1]),
      drop: graph.input("drop", [1]),
    },
    config,
  );
  return graph;
}

/** Encoder and decoder of the autoencoder at their smallest. */
export function traceAutoencoder(config: AutoencoderConfig): Graph {
  const graph = new Graph();
  const side = pixelsPerLatent(config);
  decode(graph.params, encode(graph.params, graph.input("pixels", [1, config.inChannels, side, side]), config), config);
  return graph;
}
