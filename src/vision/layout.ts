// What the encoder must know of the images it is given, as tensors: inputs, so that one graph serves images of every size. Training,
// which knows the grids while it traces, has them as constants (train/constant-layout.ts).

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
  const rope = patchRotary(packing, 0, P, config);
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

/** The rotary angles of patches start .. start+size-1. */
export function patchRotary(packing: Packing, start: number, size: number, config: VisionConfig): RotaryTable {
  const rows = packing.rows.subarray(start, start + size);
  const columns = packing.columns.subarray(start, start + size);
  return rotary2d(rows, columns, config.hidden_size / config.num_attention_heads, config.rope_theta);
}
