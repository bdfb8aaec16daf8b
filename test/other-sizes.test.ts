// Models of other sizes and choices than the published ones, with random weights, through all that can be done with a model.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inspectModel, Kelix, planModel } from "../src/index.ts";
import { convertModel } from "../src/quantize/convert.ts";
import { readSafetensors, writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { f32 } from "../src/runtime/host-tensor.ts";
import { type TinyConfigs, writeTinyModel } from "./tiny-model.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-sizes-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

type Change = Partial<Record<"qwen" | "tokenizer" | "vision" | "head" | "dit" | "vae" | "imagine", object>> & {
  readonly N: number;
  readonly patch: number;
};

/** The tiny model with N books, patches of so many pixels, and other fields. */
function changed({ N, patch, qwen, tokenizer, vision, head, dit, vae, imagine }: Change) {
  const side = 2 * patch;
  return ({ main, generation, ...rest }: TinyConfigs): TinyConfigs => ({
    main: {
      ...main,
      qwen_config: { ...main.qwen_config, n_q_tokens: N, codebook_size: 11 * N, ...qwen },
      tokenizer_config: {
        ...main.tokenizer_config,
        n_q_tokens: N,
        split_voc: N,
        codebook_size: 11 * N,
        ...tokenizer,
        vision_config: {
          ...(main.tokenizer_config!.vision_config as object),
          patch_size: patch,
          image_size: 3 * patch,
          ...vision,
        },
      },
      token_decoder_config: { ...main.token_decoder_config, max_length: N + 1, max_pos_length: N + 1, ...head },
    },
    dit: { ...rest.dit, ...dit },
    vae: { ...rest.vae, ...vae },
    preprocessor: { ...rest.preprocessor, patch_size: patch, min_pixels: 6 * side ** 2, max_pixels: 9 * side ** 2 },
    generation: { ...generation, imagine: { ...(generation.imagine as object), ...imagine } },
  });
}

const image = {
  width: 50,
  height: 37,
  data: Uint8Array.from({ length: 50 * 37 * 3 }, (_, i) => (i * 13 + (i >> 7)) % 256),
};

const machine = {
  cores: 1,
  memory: { totalBytes: 8e9, availableBytes: 8e9 },
  speeds: { flopPerS: 1e11, readBytesPerS: 1e10, quantizedBytesPerS: 1e10, quantizedFlopPerS: 1e11 },
};

async function useEverything(folder: string, N: number, size: number): Promise<void> {
  const kelix = await Kelix.load(folder, { threads: 1 });
  const codes = await kelix.tokenize(image);
  expect(codes.codes).toHaveLength(codes.grid[0] * codes.grid[1] * N);
  expect(Math.max(...codes.codes)).toBeLessThan(size);
  const content = [
    { type: "image", image },
    { type: "text", text: "What?" },
  ] as const;
  for await (const _ of kelix.chat([{ role: "user", content }], { maxNewTokens: 2 }));
  const [drawn] = await kelix.imagine("a cat", { steps: 1 });
  expect(drawn!.codes.codes).toHaveLength(drawn!.codes.grid[0] * drawn!.codes.grid[1] * N);
  const again = await kelix.reconstruct(drawn!.codes, { steps: 1 });
  expect([again.width, again.height]).toEqual([drawn!.width, drawn!.height]);
  await kelix.dispose();
}

const vitBlocks = ["ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock", "EfficientViTBlock"];

test.each<[string, Change]>([
  [
    "three books, patches of 14, three heads of width 10, norms of q alone, a high image",
    {
      N: 3,
      patch: 14,
      qwen: { num_heads: 3, num_kv_heads: 3, head_dim: 10, k_norm: false, pad_token_id: null, intermediate_dim: 7 },
      tokenizer: { llm_hidden_size: 20, init_embedding_dim: 5, embedding_dim: 3, fusion_type: "mean" },
      vision: { hidden_size: 12, num_attention_heads: 3, use_qk_norm: true },
      imagine: { grid: [7, 2] },
    },
  ],
  [
    "one book, patches of 16, one head of keys, biases, a token head without layers, attention in the autoencoder",
    {
      N: 1,
      patch: 16,
      qwen: { num_kv_heads: 1, q_proj_bias: true, v_proj_bias: true, use_multimodal_rope: true },
      vision: { num_hidden_layers: 0, hidden_act: "relu" },
      head: { num_layers: 0 },
      vae: {
        encoder_block_types: vitBlocks,
        decoder_block_types: vitBlocks,
        decoder_qkv_multiscales: [[], [], [], [5, 3], []],
        decoder_in_shortcut: false,
      },
    },
  ],
  [
    "sixteen books of parts of a code, patches of 5, a transformer of softmax attention over patches of 2",
    {
      N: 16,
      patch: 5,
      tokenizer: { split_dim: true, embedding_dim: 32 },
      head: { num_layers: 2, nhead: 1 },
      dit: { patch_size: 2, attn_type: "flash", ffn_type: "mlp", use_pe: true, pred_sigma: true },
      imagine: { grid: [3, 5] },
    },
  ],
])("%s", async (_, change) => {
  const folder = await mkdtemp(join(root, "model-"));
  await writeTinyModel(folder, 1, changed(change));
  await useEverything(folder, change.N, 11);
  expect(await inspectModel(folder)).toMatchObject({ faults: [], codebooks: change.N, codesPerBook: 11 });
  expect(await planModel(folder, machine)).toMatchObject({ faults: [] });
  await convertModel(folder, join(folder, "int4"), { weights: "int4" });
  await useEverything(join(folder, "int4"), change.N, 11);
});

test("the position table that the reference stores is not read where positions are not learned", async () => {
  const folder = await mkdtemp(join(root, "table-"));
  const vision = { has_learnable_position_embedding: false };
  await writeTinyModel(folder, 1, changed({ N: 8, patch: 8, vision }));
  const file = join(folder, "model.safetensors");
  const table = "visual_tokenizer.visual.embeddings.position_embedding.weight";
  await writeSafetensors(file, [...(await readSafetensors(file)), [table, f32(new Float32Array(9 * 16), [9, 16])]]);
  const kelix = await Kelix.load(folder, { threads: 1 });
  expect((await kelix.tokenize(image)).codes.length).toBeGreaterThan(0);
  await kelix.dispose();
  const report = await convertModel(folder, join(folder, "int8"), { weights: "int8" });
  expect(report.dropped).toContain(table);
});
