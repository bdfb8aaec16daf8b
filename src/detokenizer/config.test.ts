import { expect, test } from "vitest";
import { parseAutoencoderConfig, parseDitConfig, pixelsPerLatent } from "./config.ts";

test("an empty SanaConfig is the 1.6 B model of SANA-1.5", () => {
  const config = parseDitConfig({ __class__: "SanaConfig", cross_attn_type: "flash" });
  expect(config).toMatchObject({ hiddenSize: 2240, depth: 20, numHeads: 20, linearHeadDim: 32, captionChannels: 2304 });
});

test.each([
  [{ hidden_size: 100, num_heads: 3 }, "not a multiple of num_heads"],
  [{ hidden_size: 60, num_heads: 2, use_cross_attn_rope: true, linear_head_dim: 30 }, "multiple of 4"],
  [{ use_connector: true }, "connector_channels"],
  [{ depth: 1e9 }, "depth"],
  [{ mlp_acts: ["relu", "silu", null] }, "mlp_acts"],
])("rejects %o", (json, message) => {
  expect(() => parseDitConfig(json)).toThrow(message);
});

test("an autoencoder's lists are one entry a stage, and single names are spread over the stages", () => {
  const config = parseAutoencoderConfig({ decoder_block_types: "ResBlock" });
  expect(config.decoder).toHaveLength(6);
  expect(config.decoder[5]).toEqual({
    channels: 1024,
    layers: 3,
    type: "ResBlock",
    multiscales: [5],
    activation: "silu",
  });
  expect(pixelsPerLatent(config)).toBe(32);
});

test("rejects lists of different lengths, naming the one that differs", () => {
  expect(() => parseAutoencoderConfig({ encoder_layers_per_block: [1, 2] })).toThrow("encoder_layers_per_block has 2");
});
