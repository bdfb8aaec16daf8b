// The layout of images whose grids are known while tracing, as constants of the graph.

import type { Graph } from "../tensor/graph.ts";
import { positionTableSide, type VisionConfig } from "../vision/config.ts";
import { type ImageGroup, patchRotary, type VisionLayout } from "../vision/layout.ts";
import { type Grid, mergePatches, type Packing, packImages } from "../vision/packing.ts";

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
  const rope = patchRotary(packing, start, size, config);
  const angles = rope.cos.length / size;
  const tables = { cos: graph.constant(rope.cos, [size, angles]), sin: graph.constant(rope.sin, [size, angles]) };
  if (!config.has_learnable_position_embedding) return { images, patches: size, ...tables };
  const corners = graph.constant(packing.corners.slice(4 * start, 4 * (start + size)), [size, 4]);
  const weights = graph.constant(packing.weights.slice(4 * start, 4 * (start + size)), [size, 4]);
  return { images, patches: size, ...tables, corners, weights };
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
