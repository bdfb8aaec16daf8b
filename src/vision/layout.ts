// What the encoder must know of the images it is given, as tensors: constants when the grids are known while tracing
// (training, parity), inputs when one graph serves images of every size (inference).

import { type RotaryTable, rotary2d } from "../nn/rotary.ts";
import { f32, type HostTensor, i32 } from "../runtime/host-tensor.ts";
import { type Dim, mulDims } from "../tensor/dims.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { positionTableSide, type VisionConfig } from "./config.ts";
import { type Grid, mergePatches, type Packing, packImages } from "./packing.ts";

/** Consecutive images of one grid. Attention stays inside each image; all images of a group are one batch. */
export interface ImageGroup {
  readonly images: number;
  /** Patches of each image, P below. */
  readonly patches: Dim;
  /** i32 [P, 4] and f32 [P, 4]: rows of the position table and their weights; absent without a position table. */
  readonly corners?: Tensor;
  readonly weights?: Tensor;
  /** [P, E/2] */
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export interface VisionLayout {
  readonly groups: readonly ImageGroup[];
  /** i32 [M, 4]: the patches of each merged position. Throws for grids with odd sides, which the encoder alone can read. */
  readonly merge: Tensor;
}

/**
 * The layout of known grids. `boundaries` (cumulative, from 0 to P) splits the patches for attention; by default at the
 * images. Neighbouring segments with equal positions form one group.
 */
export function constantLayout(
  graph: Graph,
  grids: readonly Grid[],
  config: VisionConfig,
  boundaries?: readonly number[],
): VisionLayout {
  const packing = packImages(grids, positionTableSide(config));
  const ends = boundaries ?? cumulative(packing.sizes);
  if (ends[0] !== 0 || ends.at(-1) !== packing.patches || ends.some((end, i) => i > 0 && end <= ends[i - 1]!)) {
    throw new Error(`Attention boundaries must rise from 0 to ${packing.patches}, got ${ends.join(", ")}`);
  }
  const groups: ImageGroup[] = [];
  for (let i = 0; i + 1 < ends.length; ) {
    const start = ends[i]!;
    const size = ends[i + 1]! - start;
    let next = i + 1;
    while (
      next + 1 < ends.length &&
      ends[next + 1]! - ends[next]! === size &&
      isSame(packing, start, ends[next]!, size)
    ) {
      next++;
    }
    groups.push(constantGroup(graph, packing, start, size, next - i, config));
    i = next;
  }
  return {
    groups,
    get merge() {
      return graph.constant(mergePatches(grids), [packing.patches / 4, 4]);
    },
  };
}

function constantGroup(
  graph: Graph,
  packing: Packing,
  start: number,
  size: number,
  images: number,
  config: VisionConfig,
): ImageGroup {
  const rope = rotary(packing, start, size, config);
  const angles = rope.cos.length / size;
  const tables = { cos: graph.constant(rope.cos, [size, angles]), sin: graph.constant(rope.sin, [size, angles]) };
  if (!config.has_learnable_position_embedding) return { images, patches: size, ...tables };
  const corners = graph.constant(packing.corners.slice(4 * start, 4 * (start + size)), [size, 4]);
  const weights = graph.constant(packing.weights.slice(4 * start, 4 * (start + size)), [size, 4]);
  return { images, patches: size, ...tables, corners, weights };
}

/** The layout of one image of any size, as inputs that `layoutFeeds` fills. M is the dynamic dimension "M". */
export function inputLayout(graph: Graph, config: VisionConfig): VisionLayout {
  const patches = mulDims("M", 4);
  const angles = config.hidden_size / config.num_attention_heads / 2;
  const group = {
    images: 1,
    patches,
    cos: graph.input("patch_cos", [patches, angles]),
    sin: graph.input("patch_sin", [patches, angles]),
    ...(config.has_learnable_position_embedding && {
      corners: graph.input("position_corners", [patches, 4], "i32"),
      weights: graph.input("position_weights", [patches, 4]),
    }),
  };
  return { groups: [group], merge: graph.input("merge", ["M", 4], "i32") };
}

/** What a graph made with `inputLayout` wants to be fed for one image. */
export function layoutFeeds(grid: Grid, config: VisionConfig): Record<string, HostTensor> {
  const packing = packImages([grid], positionTableSide(config));
  const P = packing.patches;
  const rope = rotary(packing, 0, P, config);
  const angles = rope.cos.length / P;
  return {
    patch_cos: f32(rope.cos, [P, angles]),
    patch_sin: f32(rope.sin, [P, angles]),
    ...(config.has_learnable_position_embedding && {
      position_corners: i32(packing.corners, [P, 4]),
      position_weights: f32(packing.weights, [P, 4]),
    }),
    merge: i32(mergePatches([grid]), [P / 4, 4]),
  };
}

function rotary(packing: Packing, start: number, size: number, config: VisionConfig): RotaryTable {
  const rows = packing.rows.subarray(start, start + size);
  const columns = packing.columns.subarray(start, start + size);
  return rotary2d(rows, columns, config.hidden_size / config.num_attention_heads, config.rope_theta);
}

function cumulative(sizes: readonly number[]): number[] {
  const ends = [0];
  for (const size of sizes) ends.push(ends.at(-1)! + size);
  return ends;
}

/** Whether two stretches of patches have the same rows, columns and place in the position table. */
function isSame(packing: Packing, a: number, b: number, size: number): boolean {
  for (let i = 0; i < size; i++) {
    if (packing.rows[a + i] !== packing.rows[b + i] || packing.columns[a + i] !== packing.columns[b + i]) return false;
  }
  for (let i = 0; i < 4 * size; i++) {
    if (packing.corners[4 * a + i] !== packing.corners[4 * b + i]) return false;
    if (packing.weights[4 * a + i] !== packing.weights[4 * b + i]) return false;
  }
  return true;
}
