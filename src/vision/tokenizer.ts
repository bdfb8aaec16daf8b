// The image tokenizer: patches -> features -> merged positions -> codes, and codes -> embeddings for those who read
// them. Checkpoint names are those of `visual_tokenizer.` in a Kelix checkpoint.

import { linear } from "../nn/linear.ts";
import { mulDims } from "../tensor/dims.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { codeWidth, type Fusion, type TokenizerConfig } from "./config.ts";
import { visionEncoder } from "./encoder.ts";
import { inputLayout, type VisionLayout } from "./layout.ts";
import { projector } from "./projector.ts";
import { lookUpCodes, type Quantized, quantize } from "./quantizer.ts";

export interface TokenizedImages {
  /** [P, D] */
  readonly features: Tensor;
  /** [M, L], the continuous form that the codes replace. */
  readonly projected: Tensor;
  /** [M, N*d], before the books' norms. */
  readonly ze: Tensor;
  readonly quantized: Quantized;
}

/** pixels [P, C*p*p] -> codes [M, N] and all that lies between. */
export function imageTokenizer(
  p: Params,
  pixels: Tensor,
  layout: VisionLayout,
  config: TokenizerConfig,
): TokenizedImages {
  const features = visionEncoder(p.at("visual"), pixels, layout, config.vision_config);
  const projected = projector(p.at("mlp_AR"), features, layout.merge, config.llm_hidden_size);
  const ze = linear(p.at("encoder"), projected, config.n_q_tokens * codeWidth(config));
  return { features, projected, ze, quantized: quantize(p, ze, config) };
}

/** codes i32 [M, N] -> one embedding for each position [M, output_dim]: what is drawn from when no language model is used. */
export function embedCodes(
  p: Params,
  codes: Tensor,
  config: TokenizerConfig,
  fusion: Fusion = config.fusion_type,
): Tensor {
  const parts = lookUpCodes(p, codes, config);
  return fuse(p.at("up_projectors"), parts, config.output_dim, fusion);
}

/** Each part [M, d] through its own matrix to `width`, and their sum or mean. */
export function fuse(p: Params, parts: readonly Tensor[], width: number, fusion: Fusion): Tensor {
  const sum = parts.map((part, i) => linear(p.at(i), part, width, false)).reduce((a, b) => a.add(b));
  return fusion === "mean" ? sum.div(parts.length) : sum;
}

/** Declares every parameter of a tokenizer checkpoint under `p`, up-projectors too, by tracing both directions. */
export function declareTokenizer(graph: Graph, p: Params, config: TokenizerConfig): void {
  const { num_channels: C, patch_size: side } = config.vision_config;
  const pixels = graph.input("pixels", [mulDims("M", 4), C * side * side]);
  const { quantized } = imageTokenizer(p, pixels, inputLayout(graph, config.vision_config), config);
  embedCodes(p, quantized.codes, config);
}
