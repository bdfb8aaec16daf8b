// The training loss: cross entropy of every scored sub-token, weighted so that text and visual blocks count alike, over
// the plain number of scored sub-tokens (arXiv 2602.09843). Rows without a label never meet the output matrix.

import { InputError } from "../../errors.ts";
import type { BlockVocabulary } from "../../sequence/layout.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { linearCrossEntropy } from "./cross-entropy.ts";
import { type BlockLabels, IGNORED } from "./labels.ts";

/** Inputs of blockLoss, R rows each; see supervisedRows. */
export interface LossInputs {
  /** i32 [R] places in the flattened [positions, N+1] slots. */
  readonly rows: Tensor;
  /** i32 [R] */
  readonly labels: Tensor;
  /** [R] the weight of each row over the number of scored rows; 0 for rows that only fill up. */
  readonly weights: Tensor;
}

export interface BlockLoss {
  /** [] sum of weight * cross entropy over the count */
  readonly loss: Tensor;
  /** [R] cross entropies, not weighted, in nats */
  readonly rowLosses: Tensor;
}

/**
 * out [Q, N+1, D] are the head's results *after* the final norm, matrix [V+S, D] the output matrix. Only the named rows
 * of out are multiplied by it.
 */
export function blockLoss(out: Tensor, matrix: Tensor, { rows, labels, weights }: LossInputs): BlockLoss {
  const scored = out.reshape([-1, out.dim(-1)]).gather(rows); // [R, D]
  const rowLosses = linearCrossEntropy(scored, matrix, labels);
  return { loss: rowLosses.mul(weights).sum([0]), rowLosses };
}

/** What a training step feeds for one row of blocks. */
export interface SupervisedRows {
  /** [Q] positions whose next block is scored, filled up with 0. The head runs on these alone. */
  readonly positions: Int32Array;
  /** [R] places in [Q, N+1]. */
  readonly rows: Int32Array;
  readonly labels: Int32Array;
  /** [R] weight / count */
  readonly weights: Float32Array;
  readonly count: number;
}

/**
 * Gathers the scored slots of labels [T-1, N+1] and fills up to fixed sizes (`positions` and `rows` at most, exact sizes
 * if absent), since training graphs have fixed shapes. Throws when they are too small.
 */
export function supervisedRows(
  { labels, weights, count }: BlockLabels,
  { codesPerPatch: N }: BlockVocabulary,
  room: { readonly positions?: number; readonly rows?: number } = {},
): SupervisedRows {
  const slots = N + 1;
  const positions: number[] = [];
  const rows: number[] = [];
  const places: number[] = [];
  for (let t = 0; t * slots < labels.length; t++) {
    const before = rows.length;
    for (let j = 0; j < slots; j++) {
      if (labels[t * slots + j] === IGNORED) continue;
      rows.push(positions.length * slots + j);
      places.push(t * slots + j);
    }
    if (rows.length > before) positions.push(t);
  }
  const Q = room.positions ?? Math.max(positions.length, 1);
  const R = room.rows ?? Math.max(rows.length, 1);
  if (positions.length > Q || rows.length > R) {
    throw new Error(
      `${positions.length} scored blocks with ${rows.length} labels do not fit into ${Q} blocks and ${R} labels`,
    );
  }
  const fill = (length: number, values: readonly number[]) => Int32Array.from({ length }, (_, i) => values[i] ?? 0);
  return {
    positions: fill(Q, positions),
    rows: fill(R, rows),
    labels: fill(
      R,
      places.map((place) => labels[place]!),
    ),
    weights: Float32Array.from({ length: R }, (_, i) =>
      i < places.length ? weights[places[i]!]! / Math.max(count, 1) : 0,
    ),
    count,
  };
}

/**
 * The rows of a batch as one, T blocks each: positions count over the flattened [B*T], places over all scored blocks, weights are over
 * the count of all. Fills up to fixed sizes as supervisedRows does.
 */
export function joinSupervised(
  parts: readonly SupervisedRows[],
  T: number,
  { codesPerPatch: N }: BlockVocabulary,
  room: { readonly positions: number; readonly rows: number },
): SupervisedRows {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const scored = parts.reduce((sum, part) => sum + (part.count > 0 ? part.positions.length : 0), 0);
  if (scored > room.positions || count > room.rows) {
    throw new InputError(
      `${scored} scored blocks with ${count} labels do not fit into ${room.positions} blocks and ${room.rows} labels; raise scoredBlocks or labels`,
    );
  }
  const joined = {
    positions: new Int32Array(room.positions),
    rows: new Int32Array(room.rows),
    labels: new Int32Array(room.rows),
    weights: new Float32Array(room.rows),
    count,
  };
  let [q, r] = [0, 0];
  parts.forEach((part, b) => {
    if (part.count === 0) return;
    part.positions.forEach((t, i) => {
      joined.positions[q + i] = b * T + t;
    });
    for (let i = 0; i < part.count; i++) {
      joined.rows[r + i] = part.rows[i]! + q * (N + 1);
      joined.labels[r + i] = part.labels[i]!;
      joined.weights[r + i] = (part.weights[i]! * part.count) / count;
    }
    q += part.positions.length;
    r += part.count;
  });
  return joined;
}

/** Means of unweighted cross entropies by what is predicted; NaN where a kind does not occur. */
export interface LossByKind {
  readonly text: number;
  readonly image: number;
  readonly eos: number;
}

/** losses [R] and labels [R] of the scored rows (count of them; the rest fills up). q_eos labels count as eos alone. */
export function lossByKind(
  losses: ArrayLike<number>,
  labels: ArrayLike<number>,
  count: number,
  vocabulary: BlockVocabulary,
): LossByKind {
  const sums = { text: 0, image: 0, eos: 0 };
  const counts = { text: 0, image: 0, eos: 0 };
  for (let i = 0; i < count; i++) {
    const label = labels[i]!;
    const kind = label === vocabulary.qEos ? "eos" : label >= vocabulary.vocabSize ? "image" : "text";
    sums[kind] += losses[i]!;
    counts[kind]++;
  }
  return { text: sums.text / counts.text, image: sums.image / counts.image, eos: sums.eos / counts.eos };
}
