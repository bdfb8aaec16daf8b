import { describe, expect, test } from "vitest";
import { f32, type HostTensor, i32 } from "../src/runtime/host-tensor.ts";
import type { Values } from "../src/runtime/session.ts";
import { Graph } from "../src/tensor/graph.ts";
import { constantLayout } from "../src/train/constant-layout.ts";
import { type VisionConfig, visionConfigSchema } from "../src/vision/config.ts";
import { visionEncoder } from "../src/vision/encoder.ts";
import { inputLayout, layoutFeeds, type VisionLayout } from "../src/vision/layout.ts";
import { openGolden } from "../tools/parity/case.ts";
import { compareAll } from "../tools/parity/compare.ts";
import { gridsFrom } from "../tools/parity/grids.ts";
import { vitCase } from "../tools/parity/vit.ts";
import { largestDifference, randomTensor, randomWeights, runOnce } from "./random-weights.ts";

const config = visionConfigSchema.parse({
  image_size: 12,
  patch_size: 4,
  num_channels: 3,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 20,
});
const pixelWidth = 48;

/** Features of packed images, and the weights used. */
async function encode(
  pixels: HostTensor,
  makeLayout: (graph: Graph) => VisionLayout,
  feeds: Values = {},
  settings: VisionConfig = config,
): Promise<{ features: HostTensor; weights: Record<string, HostTensor> }> {
  const graph = new Graph();
  const layout = makeLayout(graph);
  const patches = layout.groups.length === 1 && Object.keys(feeds).length > 0 ? "4*M" : pixels.shape[0]!;
  graph.output("features", visionEncoder(graph.params, graph.input("pixels", [patches, pixelWidth]), layout, settings));
  const weights = randomWeights(graph);
  return { features: (await runOnce(graph, { ...weights, ...feeds, pixels })).features!, weights };
}

const packed =
  (grids: number[], settings = config) =>
  (graph: Graph) =>
    constantLayout(graph, gridsFrom(grids), settings);
const rowsOf = (x: HostTensor, start: number, end: number) => {
  const width = x.shape[1]!;
  return f32((x.data as Float32Array).slice(start * width, end * width), [end - start, width]);
};

describe("visionEncoder", () => {
  test("agrees with the reference, layer by layer and in its gradients", async () => {
    const { folder, outputs, close } = await openGolden("test/golden/vit");
    const computed = await vitCase.run(folder);
    await close();
    const wrong = compareAll(computed, outputs, vitCase.tolerance).filter(({ ok }) => !ok);
    expect(wrong).toEqual([]);
  });

  test("is compared with the reference on grids with odd sides too, whatever else the case's config says", async () => {
    const { folder, close } = await openGolden("test/golden/vit");
    const pixels = randomTensor([3 * 5 + 7, 3 * 14 * 14]);
    const run = (grids: number[], rows: HostTensor) =>
      vitCase.run({
        ...folder,
        config: { ...folder.config, merge_size: 1 },
        inputs: new Map([
          ["pixel_values", rows],
          ["image_grid_thw", i32(grids, [grids.length / 3, 3])],
        ]),
      });
    const both = await run([1, 3, 5, 1, 1, 7], pixels);
    const alone = await run([1, 1, 7], rowsOf(pixels, 15, 22));
    await close();
    const features = both.get("last_hidden_state")!;
    expect(features.shape).toEqual([22, 64]);
    expect(largestDifference(rowsOf(features, 15, 22), alone.get("last_hidden_state")!)).toBeLessThan(1e-5);
  });

  test("gives packed images what each gets alone, in one batch or in several groups", async () => {
    const pixels = randomTensor([24, pixelWidth]);
    const parts = [
      [0, 8, [1, 2, 4]],
      [8, 16, [1, 2, 4]],
      [16, 24, [1, 4, 2]],
    ] as const;
    const { features } = await encode(pixels, packed([1, 2, 4, 1, 2, 4, 1, 4, 2]));
    for (const [start, end, grid] of parts) {
      const alone = await encode(rowsOf(pixels, start, end), packed([...grid]));
      expect(largestDifference(rowsOf(features, start, end), alone.features)).toBeLessThan(1e-5);
    }
  });

  test("serves every size with one graph when the layout is an input", async () => {
    for (const grid of [
      { frames: 1, rows: 4, columns: 6 },
      { frames: 2, rows: 2, columns: 2 },
    ]) {
      const pixels = randomTensor([grid.frames * grid.rows * grid.columns, pixelWidth]);
      const dynamic = await encode(pixels, (graph) => inputLayout(graph, config), layoutFeeds(grid, config));
      const fixed = await encode(pixels, packed([grid.frames, grid.rows, grid.columns]));
      expect(largestDifference(dynamic.features, fixed.features)).toBeLessThan(1e-6);
    }
  });

  test("follows the plain formulas with norms of q and k after the rotation and several frames", async () => {
    const settings = visionConfigSchema.parse({
      ...config,
      num_hidden_layers: 1,
      use_qk_norm: true,
      qk_norm_eps: 1e-3,
      has_learnable_position_embedding: false,
    });
    const pixels = randomTensor([16, pixelWidth]);
    const { features, weights } = await encode(pixels, packed([2, 2, 4], settings), {}, settings);
    const wanted = plainEncoder(pixels, weights, { rows: 2, columns: 4 });
    expect(largestDifference(features, f32(wanted.flat(), [16, 16]))).toBeLessThan(1e-5);
  });

  test.each([
    [3, 5],
    [1, 7],
    [7, 1],
    [1, 1],
    [4, 3],
  ])("follows the plain formulas on a raster of %i x %i patches with learned positions", async (rows, columns) => {
    const settings = visionConfigSchema.parse({
      ...config,
      num_hidden_layers: 1,
      use_qk_norm: true,
      qk_norm_eps: 1e-3,
    });
    const P = rows * columns;
    const pixels = randomTensor([P, pixelWidth]);
    const { features, weights } = await encode(pixels, packed([1, rows, columns], settings), {}, settings);
    const wanted = plainEncoder(pixels, weights, { rows, columns });
    expect(largestDifference(features, f32(wanted.flat(), [P, 16]))).toBeLessThan(1e-5);
  });

  test("splits attention at given boundaries instead of the images'", async () => {
    const pixels = randomTensor([8, pixelWidth]);
    const merged = await encode(pixels, (graph) =>
      constantLayout(graph, gridsFrom([1, 2, 2, 1, 2, 2]), config, [0, 8]),
    );
    const frames = await encode(pixels, packed([2, 2, 2]));
    expect(largestDifference(merged.features, frames.features)).toBeLessThan(1e-6);
    expect(() => constantLayout(new Graph(), gridsFrom([1, 2, 2]), config, [0, 3])).toThrow("from 0 to 4");
  });
});

/** One layer written with loops over the frames of one image: two heads of width 8, SiLU, a position table of 3 x 3 if there is one. */
function plainEncoder(
  pixels: HostTensor,
  weights: Record<string, HostTensor>,
  grid: { rows: number; columns: number },
) {
  const row = (x: HostTensor, i: number) =>
    Array.from(x.data as Float32Array).slice(i * x.shape[1]!, (i + 1) * x.shape[1]!);
  const values = (name: string) => Array.from(weights[name]!.data as Float32Array);
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const apply = (name: string, x: number[]) => {
    const bias = values(`${name}.bias`);
    const matrix = values(`${name}.weight`);
    return bias.map((b, o) => b + dot(x, matrix.slice(o * x.length, (o + 1) * x.length)));
  };
  const norm = (name: string, x: number[]) => {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
    const [scale, bias] = [values(`${name}.weight`), values(`${name}.bias`)];
    return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-6)) * scale[i]! + bias[i]!);
  };
  const add = (a: number[], b: number[]) => a.map((value, i) => value + b[i]!);
  const layer = "encoder.layers.0";
  const head = (x: number[], h: number, at: number, name: string) => {
    const index = at % (grid.rows * grid.columns);
    const [y, z] = [Math.floor(index / grid.columns), index % grid.columns];
    const angles = [y, y / 100, z, z / 100]; // theta 10000, two frequencies to each axis
    const part = x.slice(8 * h, 8 * h + 8);
    const turned = part.map((_, j) => {
      const angle = angles[j % 4]!;
      return j < 4
        ? part[j]! * Math.cos(angle) - part[j + 4]! * Math.sin(angle)
        : part[j]! * Math.cos(angle) + part[j - 4]! * Math.sin(angle);
    });
    const root = Math.sqrt(dot(turned, turned) / 8 + 1e-3);
    return turned.map((value, j) => (value / root) * values(`${layer}.attn.${name}.scale`)[j]!);
  };
  /** Where a patch's centre lies on an axis of the table: between the centres of two entries, or on the outermost. */
  const place = (at: number, size: number) => Math.min(2, Math.max(0, ((at + 0.5) * 3) / size - 0.5));
  const learned = (i: number) => {
    const table = weights["embeddings.position_embedding.weight"];
    if (!table) return new Array<number>(16).fill(0);
    const index = i % (grid.rows * grid.columns);
    const y = place(Math.floor(index / grid.columns), grid.rows);
    const x = place(index % grid.columns, grid.columns);
    const sum = new Array<number>(16).fill(0);
    for (let r = 0; r < 3; r++) {
      for (let c = 0; c < 3; c++) {
        const share = Math.max(0, 1 - Math.abs(y - r)) * Math.max(0, 1 - Math.abs(x - c));
        row(table, 3 * r + c).forEach((value, e) => {
          sum[e]! += share * value;
        });
      }
    }
    return sum;
  };
  const stream = Array.from({ length: pixels.shape[0]! }, (_, i) =>
    add(apply("embeddings.patch_embedding", row(pixels, i)), learned(i)),
  );
  const normed = stream.map((x) => norm(`${layer}.sa_norm`, x));
  const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) => normed.map((x) => apply(`${layer}.attn.${name}`, x)));
  return stream.map((x, i) => {
    const attended = [0, 1].flatMap((h) => {
      const query = head(q![i]!, h, i, "q_norm");
      const scores = k!.map((key, j) => Math.exp(dot(query, head(key, h, j, "k_norm")) / Math.sqrt(8)));
      const total = scores.reduce((a, b) => a + b, 0);
      return Array.from({ length: 8 }, (_, e) =>
        scores.reduce((sum, s, j) => sum + (s / total) * v![j]![8 * h + e]!, 0),
      );
    });
    const y = add(x, apply(`${layer}.attn.output_proj`, attended));
    const wide = apply(`${layer}.mlp.w1`, norm(`${layer}.mlp_norm`, y)).map((value) => value / (1 + Math.exp(-value)));
    return norm("ln_post", add(y, apply(`${layer}.mlp.w2`, wide)));
  });
}
