// What the vision stage's class heads read of an embedding, as targets that codebooks can be fitted to beside looks. Without them the
// principal components of looks crowd out the few directions that tell one concept from another.

import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { choleskyFactor } from "../principal.ts";

/** The heads, and where their matrix [classes, D] and the gain [D] before it are. */
const heads = ["concept", "shape", "colour", "letter"] as const;
export type HeadWeights = Readonly<Record<(typeof heads)[number], number>>;

/**
 * A linear map [D, D] of embeddings, rows in and columns out, whose outputs differ as much as the heads' scores do: |e - f| through it is
 * the weighted distance of all scores of e and f. Undefined where the checkpoint has no head of width D. Each head counts by its weight,
 * whatever the scale of its scores.
 */
export async function classDirections(
  checkpoint: Checkpoint,
  D: number,
  weights: HeadWeights,
): Promise<Float32Array<ArrayBuffer> | undefined> {
  const metric = new Float64Array(D * D);
  let trace = 0;
  for (const head of heads) {
    const [matrix, gain] = [`${head}_head.fc.weight`, `${head}_head.norm.weight`];
    const found = checkpoint.find(matrix);
    if (weights[head] === 0 || found?.shape[1] !== D || !checkpoint.find(gain)) continue;
    const rows = (await checkpoint.read(matrix)).data as Float32Array;
    const gains = (await checkpoint.read(gain)).data as Float32Array;
    const own = new Float64Array(D * D);
    for (let c = 0; c < rows.length; c += D) {
      for (let i = 0; i < D; i++) {
        const scaled = rows[c + i]! * gains[i]!;
        for (let j = 0; j <= i; j++) own[i * D + j]! += scaled * rows[c + j]! * gains[j]!;
      }
    }
    let size = 0;
    for (let i = 0; i < D; i++) size += own[i * D + i]!;
    for (let i = 0; i < D; i++) {
      for (let j = 0; j <= i; j++) metric[i * D + j]! += (weights[head] * own[i * D + j]!) / size;
    }
    trace += weights[head];
  }
  if (trace === 0) return undefined;
  for (let i = 0; i < D; i++) {
    metric[i * D + i]! += (1e-6 * trace) / D;
    for (let j = 0; j < i; j++) metric[j * D + i] = metric[i * D + j]!;
  }
  return Float32Array.from(choleskyFactor(metric, D)) as Float32Array<ArrayBuffer>;
}
