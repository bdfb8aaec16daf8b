// K-means with k-means++ seeding (Arthur and Vassilvitskii, 2007): codebooks start at its centres.

import type { CounterRandom } from "../random/counter.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { NearestCentres } from "./nearest-centres.ts";

export interface KMeansOptions {
  readonly clusters: number;
  readonly random: CounterRandom;
  /** Maximum iterations after seeding; stops early on convergence. */
  readonly iterations?: number;
  readonly session?: SessionOptions;
}

/** samples [n, width] flat -> centres [clusters, width] flat. An empty cluster restarts at the farthest sample. */
export async function kMeans(samples: Float32Array, width: number, options: KMeansOptions): Promise<Float32Array> {
  const { clusters, random, iterations = 15, session } = options;
  const n = samples.length / width;
  if (!Number.isInteger(n) || n < 1) throw new Error(`kMeans: ${samples.length} numbers are no rows of width ${width}`);
  const centres = seedCentres(samples, width, n, clusters, random);
  const search = await NearestCentres.open(width, session);
  try {
    let before: Int32Array = new Int32Array(n).fill(-1);
    for (let round = 0; round < iterations; round++) {
      const nearest = await search.find(samples, centres);
      if (nearest.every((centre, i) => centre === before[i])) break;
      moveCentres(samples, centres, width, nearest);
      before = nearest;
    }
    return centres;
  } finally {
    await search.release();
  }
}

/** Each further centre is a sample drawn with probability proportional to its squared distance from the centres so far. */
function seedCentres(
  samples: Float32Array,
  width: number,
  n: number,
  clusters: number,
  random: CounterRandom,
): Float32Array {
  const centres = new Float32Array(clusters * width);
  const distances = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  let chosen = Math.floor(random.uniform(0) * n);
  for (let k = 0; k < clusters; k++) {
    centres.set(samples.subarray(chosen * width, (chosen + 1) * width), k * width);
    let total = 0;
    for (let i = 0; i < n; i++) {
      const distance = squaredDistance(samples, i * width, centres, k * width, width, distances[i]!);
      if (distance < distances[i]!) distances[i] = distance;
      total += distances[i]!;
    }
    let left = random.uniform(k + 1) * total;
    chosen = 0;
    while (chosen < n - 1 && left >= distances[chosen]!) left -= distances[chosen++]!;
  }
  return centres;
}

/** Moves each centre to the mean of its samples, and one without any to the sample that is farthest from its own. */
export function moveCentres(samples: Float32Array, centres: Float32Array, width: number, nearest: Int32Array): void {
  const clusters = centres.length / width;
  const sums = new Float64Array(centres.length);
  const counts = new Int32Array(clusters);
  for (let i = 0; i < nearest.length; i++) {
    const k = nearest[i]!;
    counts[k]!++;
    for (let j = 0; j < width; j++) sums[k * width + j]! += samples[i * width + j]!;
  }
  const distanceOf = (i: number) =>
    squaredDistance(samples, i * width, centres, nearest[i]! * width, width, Number.POSITIVE_INFINITY);
  const distances = Float64Array.from({ length: counts.includes(0) ? nearest.length : 0 }, (_, i) => distanceOf(i));
  for (let k = 0; k < clusters; k++) {
    if (counts[k] === 0) {
      const farthest = indexOfLargest(distances);
      centres.set(samples.subarray(farthest * width, (farthest + 1) * width), k * width);
      distances[farthest] = 0;
    } else {
      for (let j = 0; j < width; j++) centres[k * width + j] = sums[k * width + j]! / counts[k]!;
    }
  }
}

/** Squared distance of two rows, or some number >= `limit` once the sum reaches it. */
function squaredDistance(a: Float32Array, i: number, b: Float32Array, j: number, width: number, limit: number): number {
  let sum = 0;
  for (let at = 0; at < width; at++) {
    const difference = a[i + at]! - b[j + at]!;
    sum += difference * difference;
    if (sum >= limit) return sum;
  }
  return sum;
}

function indexOfLargest(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
