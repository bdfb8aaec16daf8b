// Choosing one entry from scores: greedy, temperature, top-k, nucleus (top-p, arXiv:1904.09751).

/** From `start` up to but not including `end`. */
export type IdRange = readonly [start: number, end: number];

export interface SamplingOptions {
  /** Divides the scores; 0 takes the largest. */
  readonly temperature: number;
  /** Only the k largest scores; 0 for all. */
  readonly topK: number;
  /** The fewest entries whose probabilities reach this sum, the one that crosses it included; 1 for all. */
  readonly topP: number;
}

/** The reference's defaults. */
export const defaultSampling: SamplingOptions = { temperature: 0.7, topK: 50, topP: 0.9 };

/** Whether the choice is the largest score whatever is drawn. */
export function isGreedy({ temperature, topK }: SamplingOptions): boolean {
  return temperature === 0 || topK === 1;
}

/** Draws one of the allowed ids. `uniform` in [0, 1) decides; the lowest id wins a tie of scores. */
export function sampleId(
  logits: Float32Array,
  allowed: readonly IdRange[],
  options: SamplingOptions,
  uniform: number,
): number {
  if (isGreedy(options)) return argmax(logits, allowed);
  const ids = largestIds(logits, allowed, options.topK).sort((a, b) => a - b);
  const probabilities = softmax(ids, logits, options.temperature);
  if (options.topP >= 1) return draw(ids, probabilities, uniform);
  // Entries below (1 - topP) / n together hold less than 1 - topP: the nucleus is complete without them, so only the rest is sorted.
  const floor = (1 - options.topP) / ids.length;
  const order = [...ids.keys()]
    .filter((i) => probabilities[i]! >= floor)
    .sort((a, b) => probabilities[b]! - probabilities[a]!);
  let sum = 0;
  let size = 0;
  while (size < order.length && sum < options.topP) sum += probabilities[order[size++]!]!;
  const nucleus = order.slice(0, size);
  return draw(
    nucleus.map((i) => ids[i]!),
    nucleus.map((i) => probabilities[i]! / sum),
    uniform,
  );
}

/** The allowed id with the largest score, the lowest on ties. */
export function argmax(logits: Float32Array, allowed: readonly IdRange[]): number {
  let best = allowed[0]?.[0] ?? 0;
  for (const [start, end] of allowed) {
    for (let id = start; id < end; id++) if (logits[id]! > logits[best]!) best = id;
  }
  return best;
}

/** The k allowed ids with the largest scores, in descending order of score (the lower id first on ties); all, in order of id, for 0. */
export function largestIds(logits: Float32Array, allowed: readonly IdRange[], k: number): number[] {
  const best: number[] = [];
  for (const [start, end] of allowed) {
    for (let id = start; id < end; id++) {
      if (k === 0) best.push(id);
      else if (best.length < k || logits[id]! > logits[best[k - 1]!]!) insert(best, id, logits, k);
    }
  }
  return best;
}

/** Puts an id behind all whose scores are not smaller, and keeps the first k. Ids that matter are few: no heap is needed. */
function insert(best: number[], id: number, logits: Float32Array, k: number): void {
  let at = best.length;
  while (at > 0 && logits[best[at - 1]!]! < logits[id]!) at--;
  best.splice(at, 0, id);
  if (best.length > k) best.pop();
}

/** Probabilities of the named ids among themselves. */
export function softmax(ids: readonly number[], logits: Float32Array, temperature: number): Float64Array {
  let largest = -Infinity;
  for (const id of ids) largest = Math.max(largest, logits[id]!);
  const out = new Float64Array(ids.length);
  let sum = 0;
  for (let i = 0; i < ids.length; i++) sum += out[i] = Math.exp((logits[ids[i]!]! - largest) / temperature);
  return out.map((value) => value / sum);
}

function draw(ids: readonly number[], probabilities: ArrayLike<number>, uniform: number): number {
  let sum = 0;
  for (let i = 0; i < ids.length; i++) {
    sum += probabilities[i]!;
    if (uniform < sum) return ids[i]!;
  }
  return ids.at(-1)!;
}
