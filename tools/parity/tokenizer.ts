// Parity of the image tokenizer: pixels -> codes, ids and embeddings, then one step of its end-to-end training, in which
// a small Qwen3 reads the quantised images and three losses are differentiated.

import { z } from "zod";
import { f32, type HostTensor, i32 } from "../../src/runtime/host-tensor.ts";
import { idsFromCodes } from "../../src/sequence/ids.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { concat, type Tensor } from "../../src/tensor/tensor.ts";
import { constantLayout } from "../../src/train/constant-layout.ts";
import { meanOf, quantizerLosses } from "../../src/train/loss/quantizer-loss.ts";
import { poolCodes } from "../../src/train/pool-codes.ts";
import { codeWidth, parseTokenizerConfig, type TokenizerConfig } from "../../src/vision/config.ts";
import { embedCodes, imageTokenizer, type TokenizedImages } from "../../src/vision/tokenizer.ts";
import { captionLoss } from "./caption-loss.ts";
import { type ParityCase, skipUnknown } from "./case.ts";
import { compute } from "./compute.ts";
import { gridsFrom } from "./grids.ts";
import { input, numbers } from "./input.ts";
import { outputGradients } from "./output-gradients.ts";
import { parseQwen3Config } from "./qwen3-config.ts";

const runSchema = z.object({
  image_token_id: z.int().default(-1),
  pool: z.enum(["avg", "sum"]).default("avg"),
  amplifier: z.number().default(1),
  codebook_loss_weight: z.number().default(1),
  commitment_loss_weight: z.number().default(0.25),
  vocab_offset: z.int().min(0),
});
type Run = z.output<typeof runSchema>;

const TOKENIZER = "visual_tokenizer";

export const tokenizerCase: ParityCase = {
  matches: (config) => "tokenizer" in config && "qwen" in config && !("token_decoder" in config),

  async run(folder) {
    const run = runSchema.parse(folder.config);
    const config = parseTokenizerConfig(
      { ...(folder.config.tokenizer as object), vision_config: folder.config.vision },
      undefined,
      skipUnknown,
    );
    const qwen = parseQwen3Config(folder.config.qwen, undefined, skipUnknown);
    const graph = new Graph();
    const { num_channels: C, patch_size: side } = config.vision_config;
    const pixels = input(folder, "pixel_values");
    const rows = [pixels.data.length / (C * side * side), C * side * side];
    const layout = constantLayout(graph, gridsFrom(numbers(input(folder, "image_grid_thw"))), config.vision_config);
    const tokenized = imageTokenizer(graph.params.at(TOKENIZER), graph.input("pixel_values", rows), layout, config);
    outputCodes(graph, tokenized, config);
    const pooled = poolCodes(graph.params.at("quant_projector"), tokenized.quantized.zq, qwen.embed_dim, run);
    const caption = captionLoss(graph, pooled, {
      config: qwen,
      imageTokenId: run.image_token_id,
      ids: numbers(input(folder, "input_ids")),
      labels: numbers(input(folder, "labels")),
      boundaries: numbers(input(folder, "cu_seqlens")),
    });
    graph.output("logits", caption.logits);
    graph.output("per_token_loss", caption.perToken);
    graph.output("lm_loss", caption.loss);
    outputLosses(graph, tokenized, caption.loss, run, folder.outputsPresent);
    const results = await compute(graph, folder.weights, { pixel_values: f32(pixels.data as Float32Array, rows) });
    results.set("aligned_indices", alignedIds(results.get("indices")!, config, run.vocab_offset));
    results.set("min_distance_margin", smallestMargin(results.get("z_e_normed")!, results.get("codebooks")!));
    return results;
  },

  tolerance(name) {
    if (name === "indices" || name === "aligned_indices") return { exact: true };
    if (name.startsWith("grad.")) return { relative: 1e-4 };
    if (/_loss(_each)?$/.test(name)) return { absolute: 1e-5 };
    // A difference of two float32 distances, each many times as large: their rounding is all of its deviation.
    if (name === "min_distance_margin") return { absolute: 1e-4 };
    return { relative: 2e-5 };
  },
};

function outputCodes(graph: Graph, { projected, ze, quantized }: TokenizedImages, config: TokenizerConfig): void {
  const books = (parts: readonly Tensor[]) => stack(parts, 1); // N x [M, d] -> [M, N, d]
  graph.output("projected_x", projected);
  graph.output("z_e", ze.reshape([ze.dim(0), config.n_q_tokens, codeWidth(config)]));
  graph.output("z_e_normed", books(quantized.z));
  graph.output("codebooks", stack(quantized.books, 0));
  graph.output("indices", quantized.codes);
  graph.output("z_q", books(quantized.zq));
  graph.output("token_embeds_from_indices", embedCodes(graph.params.at(TOKENIZER), quantized.codes, config));
}

function outputLosses(
  graph: Graph,
  { quantized }: TokenizedImages,
  captionLoss: Tensor,
  run: Run,
  wanted: ReadonlySet<string>,
): void {
  const M = quantized.codes.size(0);
  // The reference leaves out the last position: its packing ends with an image of noise.
  const rowWeights = graph.constant(new Float32Array(M).fill(1).fill(0, M - 1), [M, 1]);
  const each = quantizerLosses(quantized, rowWeights);
  const codebook = meanOf(each.codebook);
  const commitment = meanOf(each.commitment);
  const total = captionLoss.add(codebook.mul(run.codebook_loss_weight)).add(commitment.mul(run.commitment_loss_weight));
  graph.output("codebook_loss_each", stack(each.codebook, 0));
  graph.output("commitment_loss_each", stack(each.commitment, 0));
  graph.output("codebook_loss", codebook);
  graph.output("commitment_loss", commitment);
  graph.output("total_loss", total);
  const part = (kind: string) => [...wanted].filter((name) => name.startsWith(`grad.${kind}_only.`));
  const alone = [...part("codebook"), ...part("commitment")];
  const whole = [...wanted].filter((name) => !alone.includes(name));
  outputGradients(graph, total, whole, "grad.");
  outputGradients(graph, codebook, part("codebook"), "grad.codebook_only.", `${TOKENIZER}.`);
  outputGradients(graph, commitment, part("commitment"), "grad.commitment_only.", `${TOKENIZER}.`);
}

/** Tensors of one shape along a new axis. */
function stack(parts: readonly Tensor[], axis: number): Tensor {
  return concat(
    parts.map((part) => part.reshape(part.shape.toSpliced(axis, 0, 1))),
    axis,
  );
}

function alignedIds(codes: HostTensor, config: TokenizerConfig, vocabularySize: number): HostTensor {
  const { n_q_tokens: N, split_voc, codebook_size } = config;
  // Without a slice for each book the formula is the same but ids of different books collide, which idsFromCodes rejects.
  const ids =
    split_voc === N
      ? idsFromCodes(numbers(codes), { vocabSize: vocabularySize, codebookSize: codebook_size, codesPerPatch: N })
      : numbers(codes).map((code, at) => vocabularySize + code + Math.floor(((at % N) * codebook_size) / N));
  return i32(ids, codes.shape);
}

/** The least gap between the squared distances of the best and the second best code. z [M, N, d], books [N, S/N, d] */
function smallestMargin(z: HostTensor, books: HostTensor): HostTensor {
  const [M, N, d] = z.shape as [number, number, number];
  const size = books.shape[1]!;
  let margin = Number.POSITIVE_INFINITY;
  for (let at = 0; at < M * N; at++) {
    let best = Number.POSITIVE_INFINITY;
    let second = Number.POSITIVE_INFINITY;
    for (let code = 0; code < size; code++) {
      let distance = 0;
      for (let i = 0; i < d; i++) {
        distance += (Number(z.data[at * d + i]) - Number(books.data[((at % N) * size + code) * d + i])) ** 2;
      }
      second = Math.min(second, Math.max(best, distance));
      best = Math.min(best, distance);
    }
    margin = Math.min(margin, second - best);
  }
  return f32([margin], []);
}
