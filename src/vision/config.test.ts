import { describe, expect, test } from "vitest";
import { bookSize, codeWidth, parseTokenizerConfig, positionTableSide, visionConfigSchema } from "./config.ts";

describe("vision settings", () => {
  test("start from the reference's values", () => {
    const config = visionConfigSchema.parse({});
    expect(config).toMatchObject({ hidden_size: 1152, hidden_act: "silu", layer_norm_eps: 1e-6 });
    expect(positionTableSide(config)).toBe(27);
  });

  test("accept fields without bearing and refuse unknown ones by name", () => {
    expect(() => visionConfigSchema.parse({ attention_function: "eager" })).not.toThrow();
    expect(() => visionConfigSchema.parse({ hidden_sise: 64 })).toThrow("hidden_sise");
    expect(() => visionConfigSchema.parse({ hidden_size: 1e9 })).toThrow("hidden_size");
    expect(() => visionConfigSchema.parse({ hidden_size: 66, num_attention_heads: 2 })).toThrow("multiple of 4");
  });

  test("say which options of the tokenizer are not supported", () => {
    expect(() => parseTokenizerConfig({ add_voc_reducer: true })).toThrow(
      /add_voc_reducer is true, which is not supported: only false/,
    );
    expect(() => parseTokenizerConfig({ vq_sampling_mode: "softmax" })).toThrow("vq_sampling_mode");
    expect(() => parseTokenizerConfig({ split_voc: 3 })).toThrow("split_voc");
  });

  test("divide table and width among the books as the config says", () => {
    const config = parseTokenizerConfig({ codebook_size: 128, split_voc: 4, n_q_tokens: 4, embedding_dim: 16 });
    expect([bookSize(config), codeWidth(config)]).toEqual([32, 16]);
    expect(codeWidth({ ...config, split_dim: true })).toBe(4);
    expect(bookSize({ ...config, split_voc: 1 })).toBe(128);
  });
});
